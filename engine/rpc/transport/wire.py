"""A connected socket, used without blocking: plain TCP or TLS.

Trio's streams take a task switch and a checkpoint for every read and write. Here a read or write
that can be done at once is done at once, and only one that cannot waits.
"""

import socket
import ssl

import trio

# What one read takes: some hundred requests, or a few DATA frames.
_RECEIVE_BYTES = 128 << 10

# What the kernel takes in one gathering write (IOV_MAX).
_CHUNKS_MAX = 1_024


class WireClosedError(Exception):
    """The peer is gone, or the transport failed; nothing more can be exchanged."""


class Wire:
    """Owns a socket. Closing is left to the owner, by `close`."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._is_tls = False

    @classmethod
    def of_stream(cls, stream: trio.SocketStream) -> "Wire":
        """Take over the socket of a stream, which must not be used any more."""
        return cls(socket.socket(fileno=stream.socket.detach()))

    def receive_nowait(self) -> bytes | None:
        """Return what has arrived, b"" once the peer has ended, None if nothing has arrived.

        Raises:
          WireClosedError: the connection is broken.
        """
        try:
            return self._socket.recv(_RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError):
            return None
        except ssl.SSLWantWriteError:
            return None
        except OSError as error:
            raise WireClosedError(str(error)) from None

    def send_nowait(self, chunks: list[bytes | memoryview]) -> int:
        """Return how many bytes were taken, 0 if none can be taken now.

        Raises:
          WireClosedError: the connection is broken.
        """
        try:
            if len(chunks) == 1:
                return self._socket.send(chunks[0])
            if self._is_tls:
                # TLS has no gathering write, and repeats a write with the same bytes.
                return self._socket.send(b"".join(chunks))
            return self._socket.sendmsg(chunks[:_CHUNKS_MAX])
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except OSError as error:
            raise WireClosedError(str(error)) from None

    async def wait_readable(self) -> None:
        """Wait until `receive_nowait` may return something else than None."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            await trio.lowlevel.checkpoint()  # decrypted already; the kernel knows nothing of it
            return
        await trio.lowlevel.wait_readable(self._socket)

    async def wait_writable(self) -> None:
        """Wait until `send_nowait` may take something."""
        await trio.lowlevel.wait_writable(self._socket)

    async def start_tls(
        self, context: ssl.SSLContext, *, server_side: bool, server_hostname: str | None = None
    ) -> None:
        """Put TLS on the connection and agree on HTTP/2.

        Raises:
          WireClosedError: the handshake failed, or the peer does not speak HTTP/2.
        Cancellation: at any time; the connection is of no use afterwards.
        """
        try:
            wrapped = context.wrap_socket(
                self._socket,
                server_side=server_side,
                server_hostname=server_hostname,
                do_handshake_on_connect=False,
            )
        except OSError as error:
            raise WireClosedError(str(error)) from None
        self._socket = wrapped
        self._is_tls = True
        while True:
            try:
                wrapped.do_handshake()
                break
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(wrapped)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(wrapped)
            except OSError as error:
                raise WireClosedError(str(error)) from error
        if wrapped.selected_alpn_protocol() != "h2":
            raise WireClosedError("the peer does not offer HTTP/2 (ALPN h2)")

    def end_sending(self) -> None:
        """Tell the peer that nothing more comes; what it sends can still be received."""
        try:
            socket.socket.shutdown(self._socket, socket.SHUT_WR)
        except OSError:
            return  # the peer is gone already

    def close(self) -> None:
        """Close the socket; tasks that wait for it are woken with an error."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

"""A client's connection as the HTTP server is given it: HTTP/1.1, and nobody waits for its reader.

Hypercorn would let any client change to HTTP/2, whose frames cost far more than they weigh: streams
opened and reset, or pings, by the thousand in one packet kept all other parts of the engine waiting
for a second. Nothing here needs it. And it sends behind a shield without a deadline: a client that
asked and did not read would hold its answer in memory, and the engine's stop, for ever.
"""

from collections.abc import Callable
from typing import Final

import trio

_PIECE_BYTES: Final = 64 * 1024
_PREFACE: Final = b"PRI * HTTP/2"
"""Begins HTTP/2, also after requests of HTTP/1.1."""
_SWITCHING: Final = b"HTTP/1.1 101 "
"""Would agree to another protocol; WebSockets are refused before."""


class ClientStream(trio.abc.Stream):
    """Passes bytes on, and gives the connection up when it is misused."""

    def __init__(
        self, stream: trio.SocketStream, stall_s: float, give_up: Callable[[], None]
    ) -> None:
        """Make it.

        Args:
          stall_s: how long a client may take to accept the next 64 KiB.
          give_up: ends whatever else works for this connection.
        """
        self._stream = stream
        self._stall_s = stall_s
        self._give_up = give_up
        self._tail = b""

    @property
    def socket(self) -> trio.socket.SocketType:
        """The connection's socket, of which the server asks the addresses."""
        return self._stream.socket

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, a piece at a time.

        Raises:
          trio.BrokenResourceError: the client is gone, takes nothing, or was to be given another
            protocol; its connection is over.
        Cancellation: what was sent of `data` is unknown.
        """
        with memoryview(data) as whole:
            if whole[: len(_SWITCHING)].tobytes() == _SWITCHING:
                self._refuse("another protocol than HTTP/1.1 was asked for")
            for start in range(0, len(whole), _PIECE_BYTES):
                await self._send_piece(whole[start : start + _PIECE_BYTES])

    async def _send_piece(self, piece: memoryview) -> None:
        with trio.move_on_after(self._stall_s) as patience:
            try:
                await self._stream.send_all(piece)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                # A request that waits for the end of this answer would wait for ever.
                self._give_up()
                raise
        if patience.cancelled_caught:
            self._refuse("the client does not read")

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what has come; empty at the end, and from a client that speaks HTTP/2.

        Raises:
          trio.BrokenResourceError: the connection was reset.
        """
        data = bytes(await self._stream.receive_some(max_bytes))
        if _PREFACE in (seen := self._tail + data):
            self._give_up()
            return b""
        self._tail = seen[1 - len(_PREFACE) :]
        return data

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until sending is possible."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Tell the client that nothing follows."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    def _refuse(self, reason: str) -> None:
        self._give_up()
        raise trio.BrokenResourceError(reason)

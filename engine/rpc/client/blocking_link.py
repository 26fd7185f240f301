"""One connection of a blocking channel."""

import contextlib
import os
import select
import socket
import ssl
import time
from typing import Any, Final

from engine.rpc.client.connection import open_client_codec
from engine.rpc.client.options import ChannelOptions
from engine.rpc.client.response import Response
from engine.rpc.http2.codec import Codec
from engine.rpc.http2.events import (
    ConnectionFailed,
    DataReceived,
    HeadersReceived,
    HeadersTooLarge,
    PeerGoesAway,
    StreamReset,
)
from engine.rpc.http2.frames import ErrorCode
from engine.rpc.http2.heads import ResponseHead
from engine.rpc.http2.messages import frame_message

_RECEIVE_BYTES: Final = 128 << 10
_SEND_AHEAD_BYTES: Final = 64 << 10


class LostError(Exception):
    """The connection is gone, or in no state to go on."""


class TimeUpError(Exception):
    """The call's time is up."""


class BlockingLink:
    """One connection, with at most one call on it."""

    def __init__(self, host: str, port: int, options: ChannelOptions, deadline_s: float) -> None:
        """Connect.

        Args:
          deadline_s: until when, by `time.monotonic`.
        Raises:
          LostError: there is no server, or none that speaks HTTP/2.
          TimeUpError: it does not answer in time.
        """
        timeout_s = min(options.connect_timeout_s, max(deadline_s - time.monotonic(), 0.001))
        try:
            self._socket = _connect(host, port, options, timeout_s)
        except OSError as error:
            raise LostError(f"cannot connect to {host}:{port}: {error}") from None
        self._identity = _identify(self._socket.fileno())
        self.codec: Codec[ResponseHead] = open_client_codec(options)
        self.going_away = False
        self._stream_id = 0
        self._response: Response | None = None
        try:
            while not self.codec.established:
                self.exchange(deadline_s)
            self.write(deadline_s)
        except BaseException:
            self.close()
            raise

    def begin(self, headers: bytes, message_bytes_max: int) -> Response:
        """Open the stream of a call."""
        self._stream_id = self.codec.open_stream()
        self._response = Response(message_bytes_max)
        self.codec.send_headers(self._stream_id, headers)
        return self._response

    def send(self, message: bytes, encoding: str, deadline_s: float, *, last: bool) -> None:
        """Send a message of the call as far as the server's windows allow."""
        *first, end = frame_message(message, encoding)
        for part in first:
            self.codec.send_data(self._stream_id, part)
        self.codec.send_data(self._stream_id, end, end_stream=last)
        self.write(deadline_s)
        while self.codec.stream_queued_bytes(self._stream_id) > _SEND_AHEAD_BYTES:
            self.exchange(deadline_s)

    def end_request(self, deadline_s: float) -> None:
        """Say that no message follows."""
        self.codec.send_data(self._stream_id, b"", end_stream=True)
        self.write(deadline_s)

    def end_call(self) -> None:
        """Leave the call; if it has not ended, the server is told to stop."""
        self.codec.reset_stream(self._stream_id, ErrorCode.CANCEL)
        self._response = None
        if self.codec.stream_ids_exhausted:
            self.going_away = True

    def exchange(self, deadline_s: float) -> None:
        """Write what is ready, wait for something to come, and take it.

        What that leaves to be written is for the next exchange, or `write`: a response that has
        come must not fail since there is no time left for its acknowledgement.
        """
        self.write(deadline_s)
        self._socket.settimeout(self._remaining_s(deadline_s))
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except TimeoutError:
            raise TimeUpError from None
        except OSError as error:
            raise LostError(str(error)) from None
        if not data:
            raise LostError("the server closed the connection")
        for event in self.codec.receive(data, time.monotonic()):
            self._handle(event)

    def is_alive(self) -> bool:
        """Take what came while no call was under way; return whether a call may begin."""
        try:
            while not self.going_away and self._has_arrived():
                self.exchange(time.monotonic() + 1.0)
        except (LostError, TimeUpError):
            return False
        return not self.going_away

    def _has_arrived(self) -> bool:
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        # Not `select`, which takes no descriptor past 1023: the code of a job may open many files.
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def _handle(self, event: Any) -> None:
        response = self._response
        if isinstance(event, ConnectionFailed):
            with contextlib.suppress(LostError, TimeUpError):
                self.write(time.monotonic() + 1.0)
            raise LostError(f"the server broke the protocol: {event.reason}")
        if isinstance(event, PeerGoesAway):
            self.going_away = True
            if response is not None and self._stream_id > event.last_stream_id:
                raise LostError("the server is going away and did not process the call")
        elif isinstance(event, DataReceived):
            # One call, one reader: what is read is taken, so the windows stay open.
            self.codec.credit_connection(len(event.data))
            self.codec.credit_stream(event.stream_id, len(event.data))
        if response is None or getattr(event, "stream_id", None) != self._stream_id:
            return
        if isinstance(event, HeadersReceived):
            response.take_head(event.head, ended=event.ended)
        elif isinstance(event, DataReceived):
            response.take_data(event.data, ended=event.ended)
        elif isinstance(event, StreamReset):
            response.take_reset(event.code)
        elif isinstance(event, HeadersTooLarge):
            response.take_reset(ErrorCode.ENHANCE_YOUR_CALM)

    def write(self, deadline_s: float) -> None:
        """Write what is ready.

        Raises:
          TimeUpError: there was no time; nothing is lost.
          LostError: the server did not take all of it in time, or is gone.
        """
        # Before anything is taken from the codec, which would not come again.
        remaining_s = self._remaining_s(deadline_s)
        while data := b"".join(self.codec.take_output()):
            self._socket.settimeout(remaining_s)
            try:
                self._socket.sendall(data)
            except TimeoutError:
                raise LostError("the server does not read") from None
            except OSError as error:
                raise LostError(str(error)) from None
            remaining_s = self._remaining_s(deadline_s)

    @staticmethod
    def _remaining_s(deadline_s: float) -> float | None:
        if deadline_s == float("inf"):
            return None
        remaining_s = deadline_s - time.monotonic()
        if remaining_s <= 0:
            raise TimeUpError
        return remaining_s

    def close(self) -> None:
        """Close the socket; if somebody else has, leave alone what has its number now."""
        if _identify(self._socket.fileno()) == self._identity:
            self._socket.close()
        else:
            self._socket.detach()

    @property
    def descriptor(self) -> int:
        """The socket's."""
        return self._socket.fileno()

    def abandon(self) -> None:
        """Forget the socket without closing what has its number."""
        self._socket.detach()


def _identify(descriptor: int) -> tuple[int, int] | None:
    """Return what tells the file of a descriptor from all others, None if there is none."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _connect(host: str, port: int, options: ChannelOptions, timeout_s: float) -> socket.socket:
    connected = socket.create_connection((host, port), timeout=timeout_s)
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if options.tls is None:
            return connected
        encrypted = options.tls.wrap_socket(connected, server_hostname=options.tls_name or host)
    except BaseException:
        connected.close()
        raise
    if encrypted.selected_alpn_protocol() != "h2":
        encrypted.close()
        raise LostError("the server does not offer HTTP/2 (ALPN h2)")
    return encrypted

"""A channel for plain code: blocking calls on one socket, no event loop, no thread.

Made for worker processes. One call runs at a time; other threads wait for their turn, so give a
thread that must not wait a channel of its own. Open it after a fork, never before.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError, Message
from purerpc import Status, StatusCode

from engine.rpc.client.blocking_link import BlockingLink, LostError, TimeUpError
from engine.rpc.client.options import ChannelOptions, backoff_delays
from engine.rpc.client.request import Metadata, RequestHeaders
from engine.rpc.client.response import Response, failure_of
from engine.rpc.traced_calls import add_parent

M = TypeVar("M", bound=Message)
_UNSET: Any = object()
_FLUSH_S: Final = 1.0
"""For a few bytes."""


class BlockingChannel:
    """Calls methods of one server, connecting when a call needs it.

    Options of calls are those of `Channel.call`. A call that finds no server fails with
    `purerpc.UnavailableError`, or with `wait_for_ready` tries until its time is up.
    """

    def __init__(self, host: str, port: int, options: ChannelOptions | None = None) -> None:
        self._host = host
        self._port = port
        self._options = options or ChannelOptions()
        self._headers = RequestHeaders(f"{host}:{port}", self._options)
        self._turn = threading.Lock()
        self._link: BlockingLink | None = None

    def __enter__(self) -> "BlockingChannel":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next call would open another."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    @property
    def descriptor(self) -> int | None:
        """The connection's file descriptor, None when there is no connection."""
        return None if self._link is None else self._link.descriptor

    def abandon(self) -> None:
        """Forget the connection without closing its descriptor; the next call opens another.

        For a process in which somebody else has closed it: the number may mean another file now.
        """
        link, self._link = self._link, None
        if link is not None:
            link.abandon()

    def wait_ready(self, timeout_s: float) -> None:
        """Connect; raises purerpc.UnavailableError if that takes longer than `timeout_s`."""
        with self._turn:
            self._connect(time.monotonic() + timeout_s, wait_for_ready=True)

    def unary_unary(self, path: str, request: Message, reply_type: type[M], **options: Any) -> M:
        """Send one message, return one reply."""
        return self._single(self._replies(path, (request,), reply_type, options))

    def unary_stream(
        self, path: str, request: Message, reply_type: type[M], **options: Any
    ) -> Iterator[M]:
        """Send one message, yield the replies. Close the iterator to leave early."""
        return self._replies(path, (request,), reply_type, options)

    def stream_unary(
        self, path: str, requests: Iterable[Message], reply_type: type[M], **options: Any
    ) -> M:
        """Send messages, return one reply."""
        return self._single(self._replies(path, requests, reply_type, options))

    def stream_stream(
        self, path: str, requests: Iterable[Message], reply_type: type[M], **options: Any
    ) -> Iterator[M]:
        """Send all messages, then yield the replies: one thread cannot do both at once.

        Replies that come while messages are sent are kept in memory.
        """
        return self._replies(path, requests, reply_type, options)

    @staticmethod
    def _single(replies: Iterator[M]) -> M:
        found = list(replies)
        if len(found) != 1:
            raise failure_of(
                Status(StatusCode.INTERNAL, "the server did not send exactly one message")
            )
        return found[0]

    def _replies(
        self,
        path: str,
        requests: Iterable[Message],
        reply_type: type[M],
        options: dict[str, Any],
    ) -> Iterator[M]:
        for message in self._call(path, requests, **options):
            try:
                reply = reply_type.FromString(message)
            except DecodeError:
                detail = f"the reply is not a valid {reply_type.DESCRIPTOR.full_name}"
                raise failure_of(Status(StatusCode.INTERNAL, detail)) from None
            yield reply

    def _call(
        self,
        path: str,
        requests: Iterable[Message],
        *,
        timeout_s: float | None = _UNSET,
        metadata: Metadata = (),
        wait_for_ready: bool = False,
        message_bytes_max: int | None = None,
    ) -> Iterator[bytes]:
        if timeout_s is _UNSET:
            timeout_s = self._options.timeout_s
        deadline_s = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        limit = message_bytes_max or self._options.message_bytes_max
        with self._turn:
            link = self._connect(deadline_s, wait_for_ready=wait_for_ready)
            remaining_s = None if timeout_s is None else max(deadline_s - time.monotonic(), 0.0)
            headers = self._headers.encode(path, remaining_s, add_parent(metadata))
            response = link.begin(headers, limit)
            try:
                self._send_all(link, response, requests, deadline_s, limit)
                while True:
                    while response.messages:
                        yield response.messages.popleft()
                    if response.status is not None:
                        break
                    link.exchange(deadline_s)
            except TimeUpError:
                response.fail(StatusCode.DEADLINE_EXCEEDED, "the call's time is up")
            except LostError as error:
                response.fail(StatusCode.UNAVAILABLE, str(error))
                self.close()
            finally:
                link.end_call()
                self._flush(link)
            status = response.status
            if status is not None and status.status_code is not StatusCode.OK:
                raise failure_of(status, response.trailing_metadata)

    def _send_all(
        self,
        link: BlockingLink,
        response: Response,
        requests: Iterable[Message],
        deadline_s: float,
        limit: int,
    ) -> None:
        for request in requests:
            message = request.SerializeToString()
            if len(message) > limit:
                response.fail(
                    StatusCode.RESOURCE_EXHAUSTED,
                    f"the request of {len(message)} bytes is over the channel's limit of {limit}",
                )
            if response.status is not None:
                return
            last = isinstance(requests, tuple)
            link.send(message, self._options.encoding, deadline_s, last=last)
        if not isinstance(requests, tuple):
            link.end_request(deadline_s)

    def _flush(self, link: BlockingLink) -> None:
        """Send what an ended call has left, its reset for one; a link that lost that is no good."""
        if self._link is not link:
            return
        try:
            link.write(time.monotonic() + _FLUSH_S)
        except (LostError, TimeUpError):
            self.close()

    def _connect(self, deadline_s: float, *, wait_for_ready: bool) -> BlockingLink:
        """Return a connection that takes a call, opening one if need be."""
        if self._link is not None and not self._link.is_alive():
            self.close()
        for delay_s in backoff_delays(self._options):
            if self._link is not None:
                break
            try:
                self._link = BlockingLink(self._host, self._port, self._options, deadline_s)
            except (LostError, TimeUpError) as error:
                detail = str(error) or f"{self._host}:{self._port} does not answer"
                if not wait_for_ready or time.monotonic() + delay_s >= deadline_s:
                    raise failure_of(Status(StatusCode.UNAVAILABLE, detail)) from None
                time.sleep(delay_s)
        assert self._link is not None
        return self._link

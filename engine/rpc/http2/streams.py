"""The state of one HTTP/2 stream."""

from collections import deque


class Stream:
    """An open stream's windows, and its data that the windows hold back."""

    __slots__ = (
        "body_bytes",
        "content_length",
        "end_queued",
        "head_received",
        "id",
        "local_ended",
        "queue",
        "queued_bytes",
        "receive_window",
        "remote_ended",
        "send_window",
        "trailers",
        "uncredited_bytes",
    )

    def __init__(self, stream_id: int, send_window: int, receive_window: int) -> None:
        self.id = stream_id
        self.send_window = send_window
        self.receive_window = receive_window
        self.uncredited_bytes = 0
        """Credit given to the peer by us and not yet announced."""
        self.head_received = False
        self.remote_ended = False
        self.local_ended = False
        self.content_length: int | None = None
        self.body_bytes = 0
        self.queue: deque[memoryview] | None = None
        """Data waiting for windows; None while nothing ever had to wait."""
        self.queued_bytes = 0
        self.end_queued = False
        self.trailers: bytes | None = None
        """The header block to send once the queue is empty."""

    def breaks_content_length(self, *, ended: bool) -> bool:
        """Return whether the body is longer than announced or, once ended, shorter."""
        announced = self.content_length
        if announced is None:
            return False
        return self.body_bytes > announced or (ended and self.body_bytes != announced)

"""What the Kafka client says of itself, thinned out.

While a broker is away the client logs several errors a connection attempt, dozens a second. The
intake reports the outage itself, once; the client's own words are kept as a hint to its cause.
"""

import logging
import time

logger = logging.getLogger(__name__)

_CLIENT_LOGGER = "aiokafka"
_REPEAT_AFTER_S = 60.0
"""A line of the same wording is a line too many until this has passed."""
_MAX_WORDINGS = 256


class _ThinningHandler(logging.Handler):
    """Passes a wording on once in a while, at level INFO: what matters we report ourselves."""

    def __init__(self) -> None:
        super().__init__(level=logging.WARNING)
        self._last_s: dict[tuple[str, str], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        wording = (record.name, str(record.msg))
        now_s = time.monotonic()
        if now_s - self._last_s.get(wording, -_REPEAT_AFTER_S) < _REPEAT_AFTER_S:
            return
        if len(self._last_s) >= _MAX_WORDINGS:
            self._last_s.clear()
        self._last_s[wording] = now_s
        detail = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            detail = f"{detail}: {record.exc_info[1]!r}"
        logger.info("kafka client", extra={"source": record.name, "detail": detail})


def thin_client_log() -> None:
    """Route the Kafka client's log through ours, thinned out. Calling it again changes nothing.

    Below WARNING nothing passes: at DEBUG the client writes out its requests, passwords included.
    """
    client_logger = logging.getLogger(_CLIENT_LOGGER)
    if any(isinstance(handler, _ThinningHandler) for handler in client_logger.handlers):
        return
    client_logger.setLevel(logging.WARNING)
    client_logger.propagate = False
    client_logger.handlers = [_ThinningHandler()]

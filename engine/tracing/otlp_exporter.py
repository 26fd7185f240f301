"""Spans to the collector: what it answers, and what is made of that."""

import contextlib
import logging
import time
from collections.abc import Sequence
from typing import Any, Final

import attrs
import requests
from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace.export import SpanExportResult

from engine.tracing.sending import NotTaken
from engine.tracing.settings import TraceSettings

_EXPORTER_LOG: Final = "opentelemetry.exporter"
_ANSWER_BYTES: Final = 65_536
"""An answer is empty, or says in a few words what was not taken."""
_REASON_CHARS: Final = 500
_COMPRESSION: Final = {
    "none": Compression.NoCompression,
    "gzip": Compression.Gzip,
    "deflate": Compression.Deflate,
}


class OtlpExporter:
    """The SDK's exporter, which sends and repeats, and a judgement of its own of the answers.

    What the SDK has to say is kept for our own log, which has it less often.
    """

    def __init__(self, settings: TraceSettings) -> None:
        self._words = _LastWords()
        log = logging.getLogger(_EXPORTER_LOG)
        log.handlers = [self._words]
        log.propagate = False
        self._session = _Session(settings.timeout_s)
        self._exporter = OTLPSpanExporter(
            endpoint=settings.endpoint,
            certificate_file=settings.certificate,
            client_key_file=settings.client_key,
            client_certificate_file=settings.client_certificate,
            headers=settings.headers,
            timeout=settings.timeout_s,
            compression=_COMPRESSION[settings.compression],
            session=self._session,
        )

    def send(self, batch: Sequence[Any]) -> NotTaken | None:
        """See `BatchExporter`."""
        self._words.last = ""
        self._session.answer = _Answer()
        taken = self._exporter.export(batch) is SpanExportResult.SUCCESS
        answer = self._session.answer
        if not taken or answer.problem:
            problem = answer.problem or self._words.last or "the collector did not take them"
            return NotTaken(len(batch), problem, answer.retry_after_s)
        if answer.rejected:
            # More than there were is what a collector says that cannot count.
            return NotTaken(min(answer.rejected, len(batch)), f"rejected: {answer.message}")
        return None

    def abort(self) -> None:
        """See `BatchExporter`."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


@attrs.frozen
class _Answer:
    """What a collector has said; `problem` empty: it has taken them, but for those rejected."""

    problem: str = ""
    retry_after_s: float = 0.0
    rejected: int = 0
    message: str = ""


class _Session(requests.Session):
    """Reads answers within bounds: however long and slow one is, it costs little memory and time.

    The SDK takes a redirection, which it does not follow, for success, and looks at no answer's
    content, in which a collector says how much of what it has accepted it has dropped.
    """

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self.headers["Accept-Encoding"] = "identity"  # or what is small here could grow
        self._timeout_s = timeout_s
        self.answer = _Answer()

    def request(self, *args: Any, **options: Any) -> requests.Response:
        """Send a request, and note what came of it. Raises as that of `requests.Session`."""
        deadline_s = time.monotonic() + self._timeout_s
        try:
            # Without `verify` a bundle that the environment names for all would count before ours.
            response = super().request(*args, **{"verify": self.verify, **options, "stream": True})
            content = _read(response, deadline_s)
        except Exception as error:
            self.answer = _Answer(f"{type(error).__name__}: {error}")
            raise
        self.answer = _judge(response, content)
        return response


def _read(response: requests.Response, deadline_s: float) -> bytes | None:
    """Return what stands in an answer; None if that is too long, or too long in coming."""
    content = b""
    with contextlib.closing(response):
        while len(content) <= _ANSWER_BYTES and time.monotonic() < deadline_s:
            piece = response.raw.read1(_ANSWER_BYTES)
            if not piece:
                return content
            content += piece
    return None


def _judge(response: requests.Response, content: bytes | None) -> _Answer:
    status = f"{response.status_code} {response.reason}"[:_REASON_CHARS]
    if response.is_redirect or 300 <= response.status_code < 400:
        # Neither spans nor the key among the headers are for whoever that is.
        return _Answer(f"{status}: not followed; name the collector's own address")
    if not response.ok:
        return _Answer(status, _read_retry_after(response))
    if content is None:
        return _Answer(f"{status}, and then no end of the answer")
    try:
        partial = ExportTraceServiceResponse.FromString(content).partial_success
    except DecodeError:
        return _Answer()  # that it was taken, the status says
    return _Answer(rejected=partial.rejected_spans, message=partial.error_message[:_REASON_CHARS])


def _read_retry_after(response: requests.Response) -> float:
    try:
        return max(0.0, float(response.headers.get("retry-after", "0")))
    except ValueError:  # a date, or no number
        return 0.0


class _LastWords(logging.Handler):
    """Keeps the last message."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(TypeError, ValueError):  # arguments that do not fit their message
            self.last = record.getMessage()

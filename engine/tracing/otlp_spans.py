"""Spans of OpenTelemetry's SDK, as the engine's code uses spans."""

import secrets
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Link as OtelLink
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from engine.logs import REDACTOR
from engine.tracing.spans import CURRENT, NO_SPAN, Attributes, Kind, Span, SpanLink
from engine.version import VERSION

_SCOPE: Final = "trellis"
_NS: Final = 1_000_000_000
_ROOT: Final = Context()
_NEXT_SPAN_ID: Final[ContextVar[str]] = ContextVar("next_span_id", default="")
"""The SDK asks for an identity without saying for which span."""
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_KINDS: Final = {kind: SpanKind[kind.value] for kind in Kind}


class RecordedSpan(Span):
    """A span of the SDK's, sampled or not: what is started inside follows suit."""

    __slots__ = ("_before", "_span")

    def __init__(self, span: OtelSpan) -> None:
        self._span = span
        self._before: Token[Span] | None = None

    @property
    def is_recording(self) -> bool:
        return self._span.is_recording()

    @property
    def trace_id(self) -> str:
        return f"{self._span.get_span_context().trace_id:032x}" if self._is_sampled else ""

    @property
    def traceparent(self) -> str:
        if not self._is_sampled:
            return ""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    @property
    def link(self) -> SpanLink | None:
        return self._span.get_span_context() if self._is_sampled else None

    @property
    def is_followed(self) -> bool:
        """Whether what is started inside is recorded, too."""
        return self._is_sampled

    def context(self) -> Context:
        """Return the context in which it is the parent."""
        return set_span_in_context(self._span, _ROOT)

    def activate(self) -> None:
        CURRENT.set(self)

    def set(self, name: str, value: str | int | float | bool) -> None:
        self._span.set_attribute(name, value)

    def add_event(self, name: str, attributes: Attributes | None = None) -> None:
        clean = {key: _clean(value) for key, value in (attributes or {}).items()}
        self._span.add_event(name, clean)

    def fail(self, detail: str) -> None:
        self._span.set_status(Status(StatusCode.ERROR, _clean(detail)))

    def end(self) -> None:
        self._span.end()

    def __enter__(self) -> Span:
        self._before = CURRENT.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._before is not None
        CURRENT.reset(self._before)
        if error is not None:
            # Without the stack, which the log has under the same trace: values may stand in it.
            self.add_event(
                "exception",
                {"exception.type": type(error).__qualname__, "exception.message": str(error)},
            )
            self.fail(f"{type(error).__name__}: {error}")
        self._span.end()

    @property
    def _is_sampled(self) -> bool:
        return self._span.get_span_context().trace_flags.sampled


class OtlpTracer:
    """Makes spans of the SDK's."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer(_SCOPE, VERSION)

    def start(
        self,
        name: str,
        kind: Kind,
        parent: Mapping[str, str] | None,
        attributes: Attributes | None,
        began_us: int | None,
        span_id: str,
    ) -> Span:
        """Start a span; see `engine.tracing.start`."""
        if parent is not None:
            context = _PROPAGATOR.extract(parent, _ROOT)
        else:
            current = CURRENT.get()
            if not isinstance(current, RecordedSpan):
                context = _ROOT
            elif not current.is_followed:
                return NO_SPAN
            else:
                context = current.context()
        began_ns = None if began_us is None else began_us * 1_000
        before = _NEXT_SPAN_ID.set(span_id)
        try:
            span = self._tracer.start_span(
                name, context, _KINDS[kind], attributes, start_time=began_ns
            )
        finally:
            _NEXT_SPAN_ID.reset(before)
        return RecordedSpan(span)

    def record(
        self,
        name: str,
        began_s: float,
        ended_s: float,
        now_s: float,
        attributes: Attributes,
        links: Sequence[SpanLink],
        error: str,
    ) -> None:
        """Tell of a span that is over; see `engine.tracing.record`."""
        context = _ROOT
        if not links:
            current = CURRENT.get()
            if not isinstance(current, RecordedSpan) or not current.is_followed:
                return
            context = current.context()
        now_ns = time.time_ns()
        span = self._tracer.start_span(
            name,
            context,
            attributes=attributes,
            links=[OtelLink(link) for link in links],
            start_time=now_ns - round((now_s - began_s) * _NS),
        )
        if error:
            span.set_status(Status(StatusCode.ERROR, _clean(error)))
        span.end(now_ns - round((now_s - ended_s) * _NS))


class OwnIds(IdGenerator):
    """Of the system's randomness: a job may seed Python's, and would make the same ones again."""

    def generate_span_id(self) -> int:
        return int(_NEXT_SPAN_ID.get() or "0", 16) or secrets.randbits(64) or 1

    def generate_trace_id(self) -> int:
        return secrets.randbits(128) or 1

    def is_trace_id_random(self) -> bool:
        return True


def _clean(value: Any) -> Any:
    """Return what may be told to others: messages of errors repeat what they were given."""
    return REDACTOR.scrub(value) if isinstance(value, str) else value

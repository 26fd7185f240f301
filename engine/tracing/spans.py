"""Spans as the engine's code uses them, and the one that stands for all while tracing is off."""

import contextlib
import enum
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, Protocol

Attributes = Mapping[str, str | int | float | bool]
SpanLink = Any
"""What another span is named by in a link; opaque outside of `engine.tracing.otlp_spans`."""


class Kind(enum.Enum):
    """Which side of a conversation a span is, by OpenTelemetry's names."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


class Span:
    """A span that is none: tracing is off, or this trace is not sampled.

    As a context it is the parent of what is started inside, and ends with it; an error that leaves
    the block is told. One that is not used so ends by `end`, and if that never comes it is dropped.
    """

    __slots__ = ()

    @property
    def is_recording(self) -> bool:
        """Whether what is told of it will be seen by anyone."""
        return False

    @property
    def trace_id(self) -> str:
        """The trace, 32 hexadecimal digits; empty if it is not recorded."""
        return ""

    @property
    def traceparent(self) -> str:
        """What names it to others, as by W3C Trace Context; empty if it is not recorded."""
        return ""

    @property
    def link(self) -> SpanLink | None:
        """What names it in links."""
        return None

    def activate(self) -> None:
        """Make it the parent of what this context starts from now on; there is no way back."""

    def set(self, name: str, value: str | int | float | bool) -> None:
        """Say something about it."""

    def add_event(self, name: str, attributes: Attributes | None = None) -> None:
        """Say that something happened just now."""

    def fail(self, detail: str) -> None:
        """Say that what it stands for did not succeed."""

    def end(self) -> None:
        """End it, now."""

    def __enter__(self) -> "Span":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return


NO_SPAN: Final = Span()
CURRENT: Final[ContextVar[Span]] = ContextVar("span", default=NO_SPAN)
"""The parent of what is started next. Trio hands it on to the tasks that are started."""


class Tracer(Protocol):
    """Makes spans that are recorded."""

    def start(
        self,
        name: str,
        kind: Kind,
        parent: Mapping[str, str] | None,
        attributes: Attributes | None,
        began_us: int | None,
        span_id: str,
    ) -> Span:
        """Start a span; see `start`."""

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
        """Tell of a span that is over."""


_tracer: Tracer | None = None


def use(tracer: Tracer | None) -> None:
    """Have spans recorded from now on, or not any more."""
    global _tracer  # noqa: PLW0603 - one a process, as its log
    _tracer = tracer


def is_on() -> bool:
    """Return whether spans are recorded in this process."""
    return _tracer is not None


def start(
    name: str,
    kind: Kind = Kind.INTERNAL,
    *,
    parent: Mapping[str, str] | None = None,
    attributes: Attributes | None = None,
    began_us: int | None = None,
    span_id: str = "",
) -> Span:
    """Start a span. Off, that is some 50 ns; attributes that cost something are set if it records.

    Args:
      name: of few values, with no identity in it.
      parent: `traceparent` and perhaps `tracestate` of one elsewhere; an invalid one is ignored.
        None: the current span.
      began_us: when it began, microseconds UTC, if that is not now.
      span_id: 16 hexadecimal digits, for one that a later process may have to tell in place of
        this one; used once in a trace. Empty: any.
    """
    tracer = _tracer
    if tracer is None:
        return NO_SPAN
    return tracer.start(name, kind, parent, attributes, began_us, span_id)


def record(
    name: str,
    began_s: float,
    ended_s: float,
    now_s: float,
    attributes: Attributes,
    *,
    links: Sequence[SpanLink] = (),
    error: str = "",
) -> None:
    """Tell of a span that is over: a child of the current one, or with links the root of a trace.

    Args:
      began_s, ended_s, now_s: by one monotonic clock, in seconds.
      links: to the spans that it was for.
      error: why it did not succeed.
    """
    if _tracer is not None:
        _tracer.record(name, began_s, ended_s, now_s, attributes, links, error)


@contextlib.contextmanager
def under(span: Span) -> Iterator[None]:
    """Have what the block starts be children of a span that goes on after it."""
    if not span.is_recording:
        yield
        return
    before = CURRENT.set(span)
    try:
        yield
    finally:
        CURRENT.reset(before)


def current_trace_id() -> str:
    """Return the trace that the caller of this is part of; empty if it is not recorded."""
    return "" if _tracer is None else CURRENT.get().trace_id


def current_traceparent() -> str:
    """Return what names the current span to others; empty if it is not recorded."""
    return "" if _tracer is None else CURRENT.get().traceparent


def current_link() -> SpanLink | None:
    """Return what names the current span in links; None if it is not recorded."""
    return None if _tracer is None else CURRENT.get().link


def trace_id_of(traceparent: str) -> str:
    """Return the trace of a traceparent that `Span.traceparent` gave; empty for an empty one."""
    return traceparent.split("-")[1] if traceparent else ""

"""Calls as spans, by OpenTelemetry's conventions for RPC; their callers' by W3C Trace Context."""

from collections.abc import Iterable, Sequence
from typing import Final

from purerpc import Status, StatusCode

from engine import tracing
from engine.tracing import Kind, Span

_PARENT: Final = "traceparent"
_STATE: Final = "tracestate"

_OUR_FAULT: Final = {
    StatusCode.UNKNOWN,
    StatusCode.DEADLINE_EXCEEDED,
    StatusCode.UNIMPLEMENTED,
    StatusCode.INTERNAL,
    StatusCode.UNAVAILABLE,
    StatusCode.DATA_LOSS,
}
"""A server's span is an error with these; with the others, that is for the caller to say."""


def begin_call_span(
    service: str,
    method: str,
    metadata: Iterable[tuple[str, str | bytes]],
    request_id: str,
    *,
    begins_traces: bool,
) -> Span:
    """Begin the span of a call, and make it the current one: every call has its own context.

    Args:
      metadata: the caller's, names in lower case. A traceparent that is there twice counts as none.
      begins_traces: whether a call without a parent is traced.
    """
    carrier: dict[str, str] = {}
    parents = 0
    for name, value in metadata:
        if name == _PARENT:
            parents += 1
            carrier[_PARENT] = str(value)
        elif name == _STATE:
            # Several are one list, in their order.
            carrier[_STATE] = f"{carrier[_STATE]},{value!s}" if _STATE in carrier else str(value)
    if parents != 1:
        carrier.clear()
    if not carrier and not begins_traces:
        return tracing.NO_SPAN
    span = tracing.start(
        f"{service}/{method}",
        Kind.SERVER,
        parent=carrier,
        attributes={
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": method,
            "trellis.request.id": request_id,
        },
    )
    span.activate()
    return span


def end_call_span(span: Span, code: StatusCode, status: Status | None) -> None:
    """End the span of a call.

    Args:
      status: what the caller is told of a failure.
    """
    if span.is_recording:
        span.set("rpc.grpc.status_code", code.value)
        if code in _OUR_FAULT:
            span.fail("" if status is None else status.status_message)
    span.end()


def add_parent(metadata: Sequence[tuple[str, str | bytes]]) -> Sequence[tuple[str, str | bytes]]:
    """Return the metadata of a call that is about to be made, with the current span if there is."""
    traceparent = tracing.current_traceparent()
    return (*metadata, (_PARENT, traceparent)) if traceparent else metadata

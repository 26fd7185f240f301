"""Traces: what took how long on behalf of whom, told to an OpenTelemetry collector if one is named.

Off unless the environment names a collector. Then nothing of OpenTelemetry is imported, no thread
runs, and a span is one shared object that does nothing. `engine.tracing.otlp` and the modules named
after it alone know the library; all others use what is here.
"""

from engine.tracing.session import LIBRARY, open_tracing, require_library
from engine.tracing.settings import TraceSettings, read_trace_settings
from engine.tracing.spans import (
    NO_SPAN,
    Kind,
    Span,
    SpanLink,
    current_link,
    current_trace_id,
    current_traceparent,
    is_on,
    record,
    start,
    trace_id_of,
    under,
)

__all__ = [
    "LIBRARY",
    "NO_SPAN",
    "Kind",
    "Span",
    "SpanLink",
    "TraceSettings",
    "current_link",
    "current_trace_id",
    "current_traceparent",
    "is_on",
    "open_tracing",
    "read_trace_settings",
    "record",
    "require_library",
    "start",
    "trace_id_of",
    "under",
]

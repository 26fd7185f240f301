"""Has spans recorded by OpenTelemetry's SDK, and sent by OTLP over HTTP.

The modules named after it, and no others, import the library.
"""

import logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider

from engine.logs import REDACTOR
from engine.tracing import spans
from engine.tracing.otlp_exporter import OtlpExporter
from engine.tracing.otlp_sampling import LinkedSampler, sampler_of
from engine.tracing.otlp_spans import OtlpTracer, OwnIds
from engine.tracing.sending import SpanSender
from engine.tracing.settings import TraceSettings
from engine.version import VERSION

_TEXT_CHARS_MAX: Final = 4_096
# Each HTTP answer that is none would be a line of its own.
_LOUD_LOGGERS: Final = ("urllib3.connection", "urllib3.connectionpool")


class OtlpSession:
    """What is to be closed in the end."""

    def __init__(self, sender: SpanSender) -> None:
        self._sender = sender

    def close(self, within_s: float) -> None:
        """See `TraceSession`."""
        self._sender.close(within_s)


def open_session(
    settings: TraceSettings,
    resource: Mapping[str, str],
    on_sent: Callable[[int], None],
    on_dropped: Callable[[str, int], None],
) -> OtlpSession:
    """Record and send spans; see `engine.tracing.open_tracing`."""
    REDACTOR.add(settings.secrets)
    for name in _LOUD_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    sender = SpanSender(OtlpExporter(settings), on_sent, on_dropped)
    provider = TracerProvider(
        sampler=LinkedSampler(sampler_of(settings)),
        resource=Resource(
            {
                "service.name": settings.service_name,
                "service.version": VERSION,
                "host.name": socket.gethostname(),
                "telemetry.sdk.language": "python",
                "telemetry.sdk.name": "opentelemetry",
                **settings.resource,
                **resource,
            }
        ),
        shutdown_on_exit=False,
        id_generator=OwnIds(),
        span_limits=SpanLimits(max_attribute_length=_TEXT_CHARS_MAX),
    )
    provider.add_span_processor(_Queueing(sender))
    sender.start()
    # What a process forks has no thread that sends, and maybe the locks of one.
    os.register_at_fork(after_in_child=lambda: spans.use(None))
    spans.use(OtlpTracer(provider))
    return OtlpSession(sender)


class _Queueing(SpanProcessor):
    def __init__(self, sender: SpanSender) -> None:
        self._sender = sender

    def on_end(self, span: ReadableSpan) -> None:
        self._sender.put(span)

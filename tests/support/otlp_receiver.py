"""A collector: takes spans by OTLP over HTTP, or misbehaves as it is told."""

import contextlib
import ssl
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal

import attrs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.support.serving_engine import wait_until

Mode = Literal[
    "take",
    "garbage",
    "refuse",
    "hang",
    "busy",
    "throttle",
    "partial",
    "redirect",
    "endless",
    "drip",
]
_STATUSES: Mapping[Mode, int] = {"refuse": 400, "busy": 503, "throttle": 429, "redirect": 308}


@attrs.frozen
class ReceivedSpan:
    """A span as it came."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    begin_ns: int
    end_ns: int
    is_error: bool
    attributes: Mapping[str, Any]
    events: tuple[str, ...]
    links: tuple[str, ...]
    """Identities of spans."""
    resource: Mapping[str, Any]


class OtlpReceiver:
    """Listens on a port of its own, with TLS if it is given a context for that; a context."""

    def __init__(self, mode: Mode = "take", tls: ssl.SSLContext | None = None) -> None:
        self.mode: Mode = mode
        self.answered_bytes = 0
        """In the modes that do not end."""
        self.retry_after = "0"
        """What it asks for in the mode `throttle`."""
        self.location = ""
        """Where it sends others in the mode `redirect`."""
        self.connections = 0
        self.headers: list[dict[str, str]] = []
        self._spans: list[ReceivedSpan] = []
        self._let_go = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                receiver.connections += 1
                super().setup()

            def do_POST(self) -> None:
                receiver._answer(self)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._scheme = "http"
        if tls is not None:
            self._scheme = "https"
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def endpoint(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    @property
    def spans(self) -> list[ReceivedSpan]:
        return list(self._spans)

    def of_trace(self, trace_id: str) -> list[ReceivedSpan]:
        return [span for span in self._spans if span.trace_id == trace_id]

    def wait_for(
        self, wanted: Callable[[ReceivedSpan], bool], count: int = 1, within_s: float = 30.0
    ) -> list[ReceivedSpan]:
        """Return the spans that are wanted once there are so many, in the order of their begin."""

        def find() -> list[ReceivedSpan]:
            found = [span for span in self.spans if wanted(span)]
            return sorted(found, key=lambda span: span.begin_ns)

        wait_until(lambda: len(find()) >= count, within_s)
        return find()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.mode == "hang":
            self._let_go.wait(60.0)
            return
        if self.mode in ("endless", "drip"):
            self._never_end(request)
            return
        if self.mode == "garbage":
            request.wfile.write(b"\x00\xff no HTTP at all\r\n\r\n\x80")
            request.close_connection = True
            return
        if (status := _STATUSES.get(self.mode)) is not None:
            request.send_response(status)
            if self.mode == "throttle":
                request.send_header("retry-after", self.retry_after)
            if self.mode == "redirect":
                request.send_header("location", self.location)
            request.send_header("content-length", "0")
            request.end_headers()
            return
        assert request.path.partition("?")[0] == "/v1/traces"
        message = ExportTraceServiceRequest.FromString(body)
        for of_resource in message.resource_spans:
            resource = _read(of_resource.resource.attributes)
            for of_scope in of_resource.scope_spans:
                self._spans.extend(_span(span, resource) for span in of_scope.spans)
        answered = ExportTraceServiceResponse()
        if self.mode == "partial":
            answered.partial_success.rejected_spans = 1
            answered.partial_success.error_message = "a span too long"
        answer = answered.SerializeToString()
        request.send_response(200)
        request.send_header("content-type", "application/x-protobuf")
        request.send_header("content-length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def _never_end(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.close_connection = True
        piece, pause_s = (b"x", 0.05) if self.mode == "drip" else (bytes(65_536), 0.0)
        with contextlib.suppress(OSError):
            while not self._let_go.wait(pause_s):
                request.wfile.write(piece)
                self.answered_bytes += len(piece)

    def __enter__(self) -> "OtlpReceiver":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._let_go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _span(span: Any, resource: Mapping[str, Any]) -> ReceivedSpan:
    return ReceivedSpan(
        name=span.name,
        kind=span.kind,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        begin_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        is_error=span.status.code == 2,  # STATUS_CODE_ERROR
        attributes=_read(span.attributes),
        events=tuple(event.name for event in span.events),
        links=tuple(link.span_id.hex() for link in span.links),
        resource=resource,
    )


def _read(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}

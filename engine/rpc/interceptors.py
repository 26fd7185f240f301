"""What happens around every call: authorization, deadline, error mapping, metrics, log.

Works on a service's methods as purerpc binds them, `method(message, context)`, and knows nothing of
the transport beneath. What leaves a wrapped method is a reply, a cancellation or an
`RpcFailedError` that holds the status for the caller; no other exception gets out.
"""

import hmac
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from datetime import timedelta
from types import TracebackType
from typing import Any, Protocol

import attrs
import trio
from prometheus_client import Histogram
from purerpc import Cardinality, RpcFailedError, RPCSignature, Service, StatusCode

from engine import tracing
from engine.metrics import RPC_SECONDS
from engine.rpc.request_ids import begin_request
from engine.rpc.statuses import failed_with, internal_status, status_of
from engine.rpc.traced_calls import begin_call_span, end_call_span

logger = logging.getLogger(__name__)

_STREAMED_REPLIES = (Cardinality.UNARY_STREAM, Cardinality.STREAM_STREAM)
_BEARER = "bearer "


class CallContext(Protocol):
    """What a transport tells of a call; purerpc's `RequestReceived` is one."""

    @property
    def custom_metadata(self) -> Iterable[tuple[str, str | bytes]]:
        """The caller's metadata, names in lower case, in order, names may repeat."""

    @property
    def timeout(self) -> timedelta | None:
        """How long the caller waits, None for ever."""


class Token(Protocol):
    """A secret text that is only shown when asked."""

    def reveal(self) -> str:
        """Return the text."""


@attrs.frozen
class CallPolicy:
    """What every call of a port is held to.

    `bearer_token` set: calls must carry it as metadata `authorization: Bearer <token>`.
    `enforce_deadlines` false: the transport itself cancels calls whose time is up.
    `begins_traces` false: a call is traced only if its caller is.
    """

    bearer_token: Token | None = None
    enforce_deadlines: bool = True
    begins_traces: bool = True


def wrap_service(service: Service, policy: CallPolicy) -> Service:
    """Return the service with every method wrapped; names and signatures stay."""
    wrapped = Service(service.name)
    for name, bound in service.methods.items():
        method = _Method(service.name, name, bound.method_fn, bound.signature, policy)
        streams = bound.signature.cardinality in _STREAMED_REPLIES
        wrapped.add_method(name, method.stream if streams else method.call, bound.signature)
    return wrapped


class _Method:
    """One method of a service and what is done around it."""

    def __init__(
        self,
        service: str,
        name: str,
        handler: Callable[..., Any],
        signature: RPCSignature,
        policy: CallPolicy,
    ) -> None:
        self._service = service
        self._name = name
        self._handler = handler
        self._reply_type: type = signature.response_type
        self._deadlines = policy.enforce_deadlines
        self._begins_traces = policy.begins_traces
        token = policy.bearer_token
        self._token = None if token is None else token.reveal().encode()
        self._seconds: dict[str, Histogram] = {}

    async def call(self, message: Any, request: CallContext) -> Any:
        """Answer with one reply. The second name is purerpc's: it binds methods by it."""
        with _Observation(self, request):
            self._authorize(request)
            reply = await self._in_time(self._handler(message, request), self._deadline_s(request))
            self._check_reply(reply)
            return reply

    async def stream(self, message: Any, request: CallContext) -> AsyncGenerator[Any, None]:
        """Answer with many replies."""
        with _Observation(self, request):
            self._authorize(request)
            deadline_s = self._deadline_s(request)
            async with aclosing(self._handler(message, request)) as replies:
                while True:
                    try:
                        reply = await self._in_time(anext(replies), deadline_s)
                    except StopAsyncIteration:
                        return
                    self._check_reply(reply)
                    yield reply

    def failure_of(self, error: BaseException, request_id: str) -> RpcFailedError | None:
        """Return what the caller is told, or None for what is no failure of the call.

        A group may hold cancellations beside what failed. Dropping them loses nothing: whoever
        cancelled does so again at the next checkpoint.
        """
        if isinstance(error, BaseExceptionGroup):
            error = error.split(trio.Cancelled)[1] or error
        while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]  # a nursery in the handler wraps even a single error
        if not isinstance(error, Exception):
            return None
        if isinstance(error, RpcFailedError):
            return error
        status = status_of(error)
        if status is None:
            error_id = secrets.token_hex(6)
            status = internal_status(error_id)
            facts = {"error_id": error_id, "request_id": request_id, "rpc": self._full_name}
            logger.error("call failed", exc_info=error, extra=facts)
        return RpcFailedError(status)

    def record(self, code: StatusCode, duration_s: float, request_id: str) -> None:
        """Count a call that has ended."""
        seconds = self._seconds.get(code.name)
        if seconds is None:
            seconds = RPC_SECONDS.labels(self._service, self._name, code.name)
            self._seconds[code.name] = seconds
        seconds.observe(duration_s)
        if logger.isEnabledFor(logging.DEBUG):
            facts = {"duration_s": round(duration_s, 6), "status": code.name}
            logger.debug("call", extra={**facts, "request_id": request_id, "rpc": self._full_name})

    def begin_span(self, context: CallContext, request_id: str) -> tracing.Span:
        """Begin the span of a call."""
        return begin_call_span(
            self._service,
            self._name,
            context.custom_metadata,
            request_id,
            begins_traces=self._begins_traces,
        )

    @property
    def _full_name(self) -> str:
        return f"{self._service}/{self._name}"

    def _authorize(self, context: CallContext) -> None:
        if self._token is None:
            return
        given = [str(value) for name, value in context.custom_metadata if name == "authorization"]
        if (
            len(given) != 1
            or given[0][: len(_BEARER)].lower() != _BEARER
            or not hmac.compare_digest(given[0][len(_BEARER) :].encode(), self._token)
        ):
            raise failed_with(
                StatusCode.UNAUTHENTICATED,
                "authorization: send the metadata `authorization: Bearer <token>` with the "
                "configured token, once",
            )

    def _deadline_s(self, context: CallContext) -> float:
        if not self._deadlines or context.timeout is None:
            return float("inf")
        return trio.current_time() + context.timeout.total_seconds()

    async def _in_time(self, work: Awaitable[Any], deadline_s: float) -> Any:
        if deadline_s == float("inf"):
            return await work  # a cancel scope costs as much as the rest of a small call
        with trio.move_on_at(deadline_s):
            return await work
        raise failed_with(
            StatusCode.DEADLINE_EXCEEDED, f"{self._name} did not finish within the caller's timeout"
        )

    def _check_reply(self, reply: object) -> None:
        if not isinstance(reply, self._reply_type):
            raise TypeError(f"{self._name} gave {type(reply)!r} instead of {self._reply_type!r}")


class _Observation:
    """Watches one call from start to end and decides what comes out of it."""

    __slots__ = ("_method", "_request_id", "_span", "_started_s")

    def __init__(self, method: _Method, context: CallContext) -> None:
        self._method = method
        self._request_id = begin_request(context.custom_metadata)
        self._span = tracing.NO_SPAN
        if tracing.is_on():
            self._span = method.begin_span(context, self._request_id)
        self._started_s = time.perf_counter()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # CANCELLED stays when the caller leaves or the engine stops.
        code = StatusCode.OK if error is None else StatusCode.CANCELLED
        failure = None if error is None else self._method.failure_of(error, self._request_id)
        if failure is not None:
            code = failure.status.status_code
        self._method.record(code, time.perf_counter() - self._started_s, self._request_id)
        if self._span is not tracing.NO_SPAN:
            end_call_span(self._span, code, None if failure is None else failure.status)
        if failure is not None and failure is not error:
            try:
                raise failure from None
            finally:
                del failure, error, traceback  # or the failure holds this frame, and it the failure

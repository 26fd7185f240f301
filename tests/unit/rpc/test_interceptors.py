"""Wrapped methods, called as a transport calls them."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import attrs
import pytest
import trio
from google.protobuf.wrappers_pb2 import StringValue
from purerpc import Cardinality, RpcFailedError, RPCSignature, Service, Status, StatusCode

from engine.config import Secret
from engine.errors import NotFoundError
from engine.rpc import CallPolicy, wrap_service


@attrs.frozen
class Context:
    custom_metadata: tuple[tuple[str, str | bytes], ...] = ()
    timeout: timedelta | None = None


def wrapped(handler: Any, policy: CallPolicy | None = None, *, streams: bool = False) -> Any:
    cardinality = Cardinality.UNARY_STREAM if streams else Cardinality.UNARY_UNARY
    service = Service("test.Service")
    service.add_method("Method", handler, RPCSignature(cardinality, StringValue, StringValue))
    return wrap_service(service, policy or CallPolicy()).methods["Method"].method_fn


def failing(error: BaseException) -> Callable[[StringValue], Awaitable[StringValue]]:
    async def handler(message: StringValue) -> StringValue:
        raise error

    return handler


async def status_after(call: Awaitable[Any]) -> tuple[StatusCode, str]:
    with pytest.raises(RpcFailedError) as raised:
        await call
    status = raised.value.status
    return status.status_code, status.status_message


async def echo(message: StringValue) -> StringValue:
    return message


async def forever(message: StringValue) -> StringValue:
    await trio.sleep_forever()
    return message


async def test_a_reply_passes_unchanged() -> None:
    message = StringValue(value="x")
    assert await wrapped(echo)(message, Context()) is message


async def test_a_handler_may_take_the_context() -> None:
    async def handler(message: StringValue, request: Context) -> StringValue:
        return StringValue(value=str(request.timeout))

    reply = await wrapped(handler)(StringValue(), Context(timeout=timedelta(seconds=1)))
    assert reply.value == "0:00:01"


async def test_a_status_raised_by_a_handler_passes_unchanged() -> None:
    error = RpcFailedError(Status(StatusCode.ABORTED, "m"))
    assert await status_after(wrapped(failing(error))(None, Context())) == (StatusCode.ABORTED, "m")


async def test_one_error_out_of_a_nursery_keeps_its_status() -> None:
    async def handler(message: StringValue) -> StringValue:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(failing(NotFoundError("model", "x")), message)
            await trio.sleep_forever()
        return message

    code, text = await status_after(wrapped(handler)(None, Context()))
    assert (code, text) == (StatusCode.NOT_FOUND, "no model named 'x'")


async def test_an_error_beside_a_cancellation_is_told_and_the_cancellation_stays() -> None:
    async def handler(message: StringValue) -> StringValue:
        async with trio.open_nursery() as nursery:

            async def fail_when_cancelled() -> None:
                try:
                    await trio.sleep_forever()
                except trio.Cancelled:
                    raise OSError("while leaving") from None

            nursery.start_soon(fail_when_cancelled)
            nursery.start_soon(trio.sleep_forever)
            await trio.sleep_forever()
        return message

    went_on = False
    with trio.CancelScope() as scope:
        scope.cancel()
        with pytest.raises(RpcFailedError) as raised:
            await wrapped(handler)(None, Context())
        assert raised.value.status.status_code is StatusCode.INTERNAL
        await trio.lowlevel.checkpoint()
        went_on = True
    assert scope.cancelled_caught
    assert not went_on


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
async def test_what_ends_the_program_passes(error: BaseException) -> None:
    with pytest.raises(type(error)):
        await wrapped(failing(error))(None, Context())


async def test_a_cancelled_call_passes_its_cancellation() -> None:
    with trio.move_on_after(0) as scope:
        await wrapped(forever)(None, Context())
    assert scope.cancelled_caught


async def test_a_call_ends_at_its_deadline(autojump_clock: trio.testing.MockClock) -> None:
    started_s = trio.current_time()
    call = wrapped(forever)(None, Context(timeout=timedelta(seconds=30)))
    code, text = await status_after(call)
    assert (code, text) == (
        StatusCode.DEADLINE_EXCEEDED,
        "Method did not finish within the caller's timeout",
    )
    assert trio.current_time() - started_s == pytest.approx(30)


async def test_a_deadline_is_left_to_a_transport_that_keeps_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    call = wrapped(forever, CallPolicy(enforce_deadlines=False))
    with trio.move_on_after(60) as scope:
        await call(None, Context(timeout=timedelta(seconds=1)))
    assert scope.cancelled_caught


async def test_a_stream_ends_at_its_deadline_between_replies(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def handler(message: StringValue) -> AsyncGenerator[StringValue, None]:
        while True:
            yield message
            await trio.sleep(1)

    received = []

    async def receive() -> None:
        context = Context(timeout=timedelta(seconds=2.5))
        async for reply in wrapped(handler, streams=True)(StringValue(), context):
            received.append(reply)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(RpcFailedError) as raised:
        await receive()
    assert raised.value.status.status_code is StatusCode.DEADLINE_EXCEEDED
    assert len(received) == 3


async def test_a_stream_that_is_left_closes_its_handler() -> None:
    closed = []

    async def handler(message: StringValue) -> AsyncGenerator[StringValue, None]:
        try:
            while True:
                yield message
        finally:
            await trio.lowlevel.checkpoint()
            closed.append(True)

    async with aclosing(wrapped(handler, streams=True)(StringValue(), Context())) as replies:
        await anext(replies)
    assert closed == [True]


async def test_a_stream_fails_with_the_status_of_its_error() -> None:
    async def handler(message: StringValue) -> AsyncGenerator[StringValue, None]:
        yield message
        raise NotFoundError("model", "x")

    replies = wrapped(handler, streams=True)(StringValue(), Context())
    await anext(replies)
    assert (await status_after(anext(replies)))[0] is StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", ""),),
        (("authorization", "Bearer"),),
        (("authorization", "Bearer tokeN"),),
        (("authorization", "Bearer tokén"),),
        (("authorization", b"Bearer token"),),
        (("authorization-bin", b"Bearer token"),),
        (("authorization", "Bearer token"), ("authorization", "Bearer token")),
    ],
)
async def test_a_call_without_the_token_never_reaches_the_handler(
    metadata: tuple[tuple[str, str | bytes], ...],
) -> None:
    policy = CallPolicy(bearer_token=Secret("token"))
    call = wrapped(failing(AssertionError("reached")), policy)
    assert (await status_after(call(None, Context(metadata))))[0] is StatusCode.UNAUTHENTICATED


async def test_calls_are_logged_with_the_callers_id(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "engine.rpc")
    call = wrapped(echo)
    await call(StringValue(), Context((("x-request-id", "abc-1"),)))
    await call(StringValue(), Context((("x-request-id", "forged\nline"),)))
    await call(StringValue(), Context())
    ids = [record.__dict__["request_id"] for record in caplog.records]
    assert ids[0] == "abc-1"
    assert "forged\nline" not in ids
    assert len(set(ids)) == 3

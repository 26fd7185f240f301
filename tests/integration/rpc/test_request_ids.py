"""The id of a call, as its handler sees it."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import trio
from google.protobuf.wrappers_pb2 import StringValue
from purerpc import Cardinality, RPCSignature, Service

from engine.rpc import current_request_id

WHO = "/trellis.test.Who/"
CODEC = {
    "request_serializer": StringValue.SerializeToString,
    "response_deserializer": StringValue.FromString,
}


def own_id() -> StringValue:
    return StringValue(value=current_request_id())


class Who:
    """Answers with the id of the call."""

    @property
    def service(self) -> Service:
        service = Service("trellis.test.Who")
        for name, method, cardinality in (
            ("Straight", self.straight, Cardinality.UNARY_UNARY),
            ("Late", self.late, Cardinality.UNARY_UNARY),
            ("Many", self.many, Cardinality.UNARY_STREAM),
            ("Join", self.join, Cardinality.STREAM_UNARY),
        ):
            service.add_method(name, method, RPCSignature(cardinality, StringValue, StringValue))
        return service

    async def straight(self, message: StringValue) -> StringValue:
        return own_id()

    async def late(self, message: StringValue) -> StringValue:
        # Other calls begin meanwhile, some of them in the task that read this one.
        await trio.sleep(0.02)
        return own_id()

    async def many(self, message: StringValue) -> AsyncGenerator[StringValue, None]:
        for _ in range(3):
            yield own_id()
            await trio.sleep(0.005)

    async def join(self, messages: AsyncIterator[StringValue]) -> StringValue:
        async for _ in messages:
            await trio.lowlevel.checkpoint()
        return own_id()


def ask(channel: grpc.Channel, number: int) -> tuple[str, set[str]]:
    """Make a call of some kind; return the id that was sent and those that were seen."""
    given = f"call-{number}"
    options = {"metadata": [("x-request-id", given)], "timeout": 20}
    one, some = StringValue(), [StringValue()] * 3
    match number % 4:
        case 0:
            reply = channel.unary_unary(WHO + "Straight", **CODEC)(one, **options)
        case 1:
            reply = channel.unary_unary(WHO + "Late", **CODEC)(one, **options)
        case 2:
            replies = channel.unary_stream(WHO + "Many", **CODEC)(one, **options)
            return given, {reply.value for reply in replies}
        case _:
            reply = channel.stream_unary(WHO + "Join", **CODEC)(iter(some), **options)
    return given, {reply.value}


async def test_every_handler_sees_the_id_of_its_own_call(serving: Any) -> None:
    def ask_until_answered(channel: grpc.Channel, number: int) -> tuple[str, set[str]]:
        while True:
            try:
                return ask(channel, number)
            except grpc.RpcError as error:
                # So answers a server of a busy machine; it says when to come again.
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                time.sleep(1)

    def ask_much(channel: grpc.Channel) -> list[tuple[str, set[str]]]:
        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(lambda number: ask_until_answered(channel, number), range(400)))

    async with serving(Who()) as running:
        with running.channel() as channel:
            answers = await trio.to_thread.run_sync(ask_much, channel)
    assert [(given, {given}) for given, _ in answers] == answers


async def test_a_call_without_an_id_is_given_one_of_its_own(serving: Any) -> None:
    def ask_twice(channel: grpc.Channel) -> list[str]:
        call = channel.unary_unary(WHO + "Straight", **CODEC)
        return [call(StringValue(), timeout=10).value for _ in range(2)]

    async with serving(Who()) as running:
        with running.channel() as channel:
            first, second = await trio.to_thread.run_sync(ask_twice, channel)
    assert first
    assert second
    assert first != second


async def test_outside_of_calls_there_is_no_id() -> None:
    assert current_request_id() == ""

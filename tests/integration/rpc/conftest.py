"""A server on loopback with a service of every cardinality, and real grpcio clients for it."""

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from typing import Any

import attrs
import grpc
import pytest
import trio
from google.protobuf.wrappers_pb2 import StringValue
from purerpc import Cardinality, RPCSignature, Service

from engine.health import HealthBoard
from engine.rpc import BoundAddress, serve

PROBE = "/trellis.test.Probe/"


class Probe:
    """Echoes, counts, waits and fails as told."""

    def __init__(self) -> None:
        self.error: Exception = LookupError("not told to fail")
        self.release = trio.Event()
        self.waiting = 0
        self.cancelled = 0

    @property
    def service(self) -> Service:
        service = Service("trellis.test.Probe")
        for name, method, cardinality in (
            ("Echo", self.echo, Cardinality.UNARY_UNARY),
            ("Fail", self.fail, Cardinality.UNARY_UNARY),
            ("Wait", self.wait, Cardinality.UNARY_UNARY),
            ("Wrong", self.wrong, Cardinality.UNARY_UNARY),
            ("Split", self.split, Cardinality.UNARY_STREAM),
            ("Endless", self.endless, Cardinality.UNARY_STREAM),
            ("Join", self.join, Cardinality.STREAM_UNARY),
            ("Chat", self.chat, Cardinality.STREAM_STREAM),
        ):
            service.add_method(name, method, RPCSignature(cardinality, StringValue, StringValue))
        return service

    async def echo(self, message: StringValue) -> StringValue:
        return message

    async def fail(self, message: StringValue) -> StringValue:
        raise self.error

    async def wait(self, message: StringValue) -> StringValue:
        self.waiting += 1
        try:
            await self.release.wait()
        except trio.Cancelled:
            self.cancelled += 1
            raise
        return message

    async def wrong(self, message: StringValue) -> Any:
        return "not a message"

    async def split(self, message: StringValue) -> AsyncGenerator[StringValue, None]:
        for letter in message.value:
            yield StringValue(value=letter)

    async def endless(self, message: StringValue) -> AsyncGenerator[StringValue, None]:
        try:
            while True:
                yield StringValue(value="x" * 100_000)
        finally:
            self.cancelled += 1

    async def join(self, messages: AsyncIterator[StringValue]) -> StringValue:
        return StringValue(value="".join([message.value async for message in messages]))

    async def chat(self, messages: AsyncIterator[StringValue]) -> AsyncGenerator[StringValue, None]:
        async for message in messages:
            yield StringValue(value=message.value.upper())


@attrs.define
class Running:
    """A running server."""

    address: BoundAddress
    stop: trio.Event
    board: HealthBoard
    scope: trio.CancelScope
    finished: trio.Event

    def channel(self, **options: Any) -> closing[grpc.Channel]:
        pairs = [(f"grpc.{name}", value) for name, value in options.items()]
        return closing(grpc.insecure_channel(str(self.address), options=pairs))


Serving = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
def serving() -> Serving:
    """`async with serving(servicer, ...) as running`: a server that ends with the block."""

    @asynccontextmanager
    async def start(*servicers: Any, **options: Any) -> AsyncIterator[Running]:
        board = HealthBoard()
        board.register("store", required=True)
        board.set("store", ok=True, detail="open")
        stop, finished = trio.Event(), trio.Event()
        options = {"port": 0, "setting": "server_ports.service_b", "grace_s": 5.0} | options

        async def run(task_status: Any) -> None:
            try:
                await serve(servicers, board=board, stop=stop, task_status=task_status, **options)
            finally:
                finished.set()

        async with trio.open_nursery() as nursery:
            address = await nursery.start(functools.partial(run))
            yield Running(address, stop, board, nursery.cancel_scope, finished)
            nursery.cancel_scope.cancel()

    return start


@pytest.fixture
def echo() -> Callable[..., Any]:
    """`echo(channel, "text", timeout=...)`: one call of Echo from a plain client, blocking."""

    def call(channel: grpc.Channel, text: str, method: str = "Echo", **options: Any) -> str:
        options = {"timeout": 10} | options
        reply: StringValue = unary(channel, method)(StringValue(value=text), **options)
        return reply.value

    return call


def unary(channel: grpc.Channel, method: str) -> Any:
    return channel.unary_unary(
        method if method.startswith("/") else PROBE + method,
        request_serializer=StringValue.SerializeToString,
        response_deserializer=StringValue.FromString,
    )


@pytest.fixture
def method() -> Callable[[grpc.Channel, str], Any]:
    return unary


@pytest.fixture
def until() -> Callable[..., Any]:
    """Poll a condition, for ten seconds at most."""

    async def wait(condition: Callable[[], bool]) -> None:
        with trio.fail_after(10):
            while not condition():  # noqa: ASYNC110 - what is waited for sets no event
                await trio.sleep(0.005)

    return wait


def letters(text: str) -> Iterator[StringValue]:
    return (StringValue(value=letter) for letter in text)

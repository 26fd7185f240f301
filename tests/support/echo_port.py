"""A port that serves one test service with every cardinality, and what a test may look at."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import attrs
import trio
from google.protobuf.wrappers_pb2 import BytesValue
from purerpc import Cardinality, RPCSignature, Service

from engine.errors import InvalidArgumentError, ResourceExhaustedError
from engine.health import HealthBoard
from engine.rpc import serve

T = TypeVar("T")
SERVICE = "trellis.test.Echo"


@attrs.define
class EchoServicer:
    """Behaves as the payload says, and counts what happens to it."""

    running: int = 0
    cancelled: int = 0
    taken: int = 0
    gate: trio.Event = attrs.field(factory=trio.Event)

    @property
    def service(self) -> Service:
        service = Service(SERVICE)
        for name, handler, cardinality in (
            ("Echo", self.echo, Cardinality.UNARY_UNARY),
            ("Many", self.many, Cardinality.UNARY_STREAM),
            ("Collect", self.collect, Cardinality.STREAM_UNARY),
            ("Converse", self.converse, Cardinality.STREAM_STREAM),
        ):
            service.add_method(name, handler, RPCSignature(cardinality, BytesValue, BytesValue))
        return service

    async def echo(self, message: BytesValue, request: Any) -> BytesValue:
        words = message.value[:40].split(b" ")
        with self._watched():
            match words[0]:
                case b"sleep":
                    await trio.sleep(float(words[1]))
                case b"forever":
                    await trio.sleep_forever()
                case b"gate":
                    await self.gate.wait()
                case b"checkpoint":
                    await trio.lowlevel.checkpoint()
                case b"size":
                    return BytesValue(value=bytes(int(words[1])))
                case b"bug":
                    raise ZeroDivisionError("the secret of the handler")
                case b"invalid":
                    raise InvalidArgumentError("user_id", "must not be ünknown\n100%")
                case b"exhausted":
                    raise ResourceExhaustedError("queue is full", retry_after_s=2.0)
                case b"metadata":
                    request.set_initial_metadata([("x-initial", "first")])
                    request.set_trailing_metadata(request.custom_metadata)
                case b"timeout":
                    return BytesValue(value=str(request.timeout).encode())
        return message

    async def many(self, message: BytesValue) -> AsyncIterator[BytesValue]:
        count, size, *rest = (int(word) for word in message.value.split(b" "))
        with self._watched():
            for _ in range(count):
                yield BytesValue(value=bytes(size))
                self.taken += 1
            if rest:
                await trio.sleep_forever()

    async def collect(self, messages: AsyncIterator[BytesValue]) -> BytesValue:
        total = 0
        with self._watched():
            async for message in messages:
                total += len(message.value)
                self.taken += 1
                if message.value == b"gate":
                    await self.gate.wait()
                if message.value == b"enough":
                    break
        return BytesValue(value=str(total).encode())

    async def converse(self, messages: AsyncIterator[BytesValue]) -> AsyncIterator[BytesValue]:
        with self._watched():
            async for message in messages:
                yield message

    def _watched(self) -> "_Watch":
        return _Watch(self)


@attrs.frozen
class _Watch:
    servicer: EchoServicer

    def __enter__(self) -> None:
        self.servicer.running += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.servicer.running -= 1
        if kind is not None and issubclass(kind, trio.Cancelled):
            self.servicer.cancelled += 1


@attrs.frozen
class Port:
    """A serving port."""

    servicer: EchoServicer
    address: str
    number: int
    stop: trio.Event
    stopped: trio.Event


OpenPort = Callable[..., AbstractAsyncContextManager[Port]]


@asynccontextmanager
async def open_port(grace_s: float = 1.0, **options: Any) -> AsyncIterator[Port]:
    """Serve an `EchoServicer` on a free port; left with `stop` unset, the server is cancelled."""
    board = HealthBoard()
    board.register("store", required=True)
    board.set("store", ok=True, detail="")
    servicer, stop, stopped = EchoServicer(), trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[Any]) -> None:
            await serve(
                [servicer],
                port=options.pop("port", 0),
                setting="server_ports.test",
                board=board,
                stop=stop,
                grace_s=grace_s,
                task_status=task_status,
                **options,
            )
            stopped.set()

        bound = await nursery.start(run)
        yield Port(servicer, f"127.0.0.1:{bound.port}", bound.port, stop, stopped)
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Wait until a condition holds; fail if it does not in time."""
    with trio.fail_after(timeout_s):
        while not condition():  # noqa: ASYNC110 - conditions of other threads and peers too
            await trio.sleep(0.005)


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Run a blocking client."""
    return await trio.to_thread.run_sync(function, *args)


async def in_asyncio(function: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Run an asyncio client in a thread with a loop of its own."""
    return await trio.to_thread.run_sync(lambda: asyncio.run(function(*args)))


def stub(channel: Any, method: str) -> Any:
    """Return a grpcio multicallable (sync or aio) for a method of the test service."""
    make = {
        "Echo": channel.unary_unary,
        "Many": channel.unary_stream,
        "Collect": channel.stream_unary,
        "Converse": channel.stream_stream,
    }[method]
    return make(
        f"/{SERVICE}/{method}",
        request_serializer=BytesValue.SerializeToString,
        response_deserializer=BytesValue.FromString,
    )

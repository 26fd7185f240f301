"""Start, drain and end of a server; what is left afterwards; what propagates."""

import gc
import logging
import socket
import tracemalloc
import weakref
from pathlib import Path
from typing import Any

import grpc
import pytest
import trio
from google.protobuf.wrappers_pb2 import BytesValue
from purerpc import Cardinality, RPCSignature, Service

from engine.errors import AddressInUseError
from engine.health import HealthBoard
from engine.rpc import TransportLimits, serve
from engine.rpc.http2 import frames
from engine.rpc.http2.frames import Setting
from tests.support.echo_port import in_thread, open_port, stub, until
from tests.support.raw_peer import frame, raw_peer, request, request_headers, setting


async def test_drain_lets_calls_finish_and_announces_itself_twice() -> None:
    async with open_port(grace_s=5.0) as port, raw_peer(port.number) as peer:
        await peer.send(request(1, b"gate"))
        await until(lambda: port.servicer.running == 1)
        port.stop.set()
        received = await peer.frames_until(frames.PING)
        goaway = next(f for f in received if f.kind == frames.GOAWAY)
        assert frames.unpack_goaway(goaway.payload)[:2] == (frames.MAX_STREAM_ID, 0)
        await peer.send(request(3, b"on its way"))
        await peer.send(frame(frames.PING, frames.FLAG_ACK, 0, received[-1].payload))
        received = await peer.frames_until(frames.GOAWAY)
        assert frames.unpack_goaway(received[-1].payload)[:2] == (3, 0)
        await peer.send(request(5, b"too late"))
        port.servicer.gate.set()
        received = await peer.frames_until(None)
        answered = {f.stream_id for f in received if f.kind == frames.DATA}
        assert answered == {1}
        await peer.stream.aclose()
        with trio.fail_after(3):
            await port.stopped.wait()


async def test_a_drained_port_takes_no_connections() -> None:
    async with open_port(grace_s=5.0) as port, raw_peer(port.number) as peer:
        await peer.send(request(1, b"gate"))
        await until(lambda: port.servicer.running == 1)
        port.stop.set()
        await peer.frames_until(frames.GOAWAY)
        with pytest.raises(OSError, match="connect"):
            await trio.open_tcp_stream("127.0.0.1", port.number)


async def test_calls_are_cut_off_after_the_grace() -> None:
    async with open_port(grace_s=0.3) as port, raw_peer(port.number) as peer:
        await peer.send(request(1, b"forever"))
        await until(lambda: port.servicer.running == 1)
        port.stop.set()
        with trio.fail_after(2):
            await port.stopped.wait()
        assert port.servicer.cancelled == 1


async def test_a_grpcio_client_sees_its_call_through_a_drain() -> None:
    async with open_port(grace_s=5.0) as port:

        def call() -> bytes:
            with grpc.insecure_channel(port.address) as channel:
                ongoing = stub(channel, "Echo").future(BytesValue(value=b"sleep 0.5"))
                trio.from_thread.run(until, lambda: port.servicer.running == 1)
                trio.from_thread.run_sync(port.stop.set)
                return ongoing.result(timeout=5).value

        assert await in_thread(call) == b"sleep 0.5"
        with trio.fail_after(3):
            await port.stopped.wait()


async def test_a_port_in_use_is_an_error_that_says_who_to_look_for() -> None:
    async with open_port() as port:
        with pytest.raises(AddressInUseError, match=f"sport = :{port.number}"):
            await serve(
                [],
                port=port.number,
                setting="server_ports.test",
                board=HealthBoard(),
                stop=trio.Event(),
                grace_s=1,
            )


async def test_only_loopback_is_bound_and_ports_are_not_shared() -> None:
    async with open_port() as port:
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", port.number))


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_nothing_is_left_after_cancellation_under_load() -> None:
    before_tasks = trio.lowlevel.current_statistics().tasks_living
    before_descriptors = open_descriptors()
    async with (
        open_port() as port,
        raw_peer(port.number) as first,
        raw_peer(port.number) as second,
    ):
        for number in range(1, 41, 2):
            await first.send(request(number, b"forever"))
            await second.send(request(number, b"1000 100000", b"/trellis.test.Echo/Many"))
        await until(lambda: port.servicer.running == 40)
    assert port.servicer.running == 0
    assert trio.lowlevel.current_statistics().tasks_living == before_tasks
    assert open_descriptors() == before_descriptors


@pytest.mark.parametrize("inline", [True, False])
async def test_keyboard_interrupt_in_a_handler_ends_the_server(inline: bool) -> None:
    class Interrupted:
        @property
        def service(self) -> Service:
            service = Service("s")
            signature = RPCSignature(Cardinality.UNARY_UNARY, BytesValue, BytesValue)
            service.add_method("m", self.call, signature)
            return service

        async def call(self, message: BytesValue) -> BytesValue:
            if not inline:
                await trio.lowlevel.checkpoint()
            raise KeyboardInterrupt

    async def interrupt(port: int) -> None:
        async with raw_peer(port) as peer:
            await peer.send(request(1, b"", b"/s/m"))
            await trio.sleep(3)

    with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:

            async def run(task_status: trio.TaskStatus[Any]) -> None:
                await serve(
                    [Interrupted()],
                    port=0,
                    setting="test",
                    board=HealthBoard(),
                    stop=trio.Event(),
                    grace_s=1,
                    task_status=task_status,
                )

            bound = await nursery.start(run)
            nursery.start_soon(interrupt, bound.port)


async def test_replies_to_a_client_that_leaves_early_need_no_garbage_collector() -> None:
    """A thousand replies of 8 MB to clients that do not read them: freed by counting alone."""
    size = 8 << 20
    async with open_port(limits=TransportLimits(message_bytes_max=size + 100)) as port:
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            for _ in range(100):
                async with raw_peer(port.number) as peer:
                    window = setting(Setting.INITIAL_WINDOW_SIZE, 1 << 20)
                    calls = (request(n, b"size %d" % size) for n in range(1, 21, 2))
                    await peer.send(window + b"".join(calls))
                    await peer.frames_until(frames.DATA, timeout_s=30)
                await until(lambda: tracemalloc.get_traced_memory()[0] < size)
        finally:
            tracemalloc.stop()
            gc.enable()


@pytest.mark.parametrize("ending", [b"plain", b"bug", b"checkpoint", b"invalid", b"forever"])
async def test_a_request_is_freed_when_its_call_ends(
    ending: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest keeps log records, and a record of a bug keeps its frames.
    monkeypatch.setattr(logging.getLogger("engine.rpc.interceptors"), "disabled", True)
    references: list[weakref.ref[Any]] = []

    class Remembering:
        @property
        def service(self) -> Service:
            service = Service("s")
            signature = RPCSignature(Cardinality.UNARY_UNARY, BytesValue, BytesValue)
            service.add_method("m", self.call, signature)
            return service

        async def call(self, message: BytesValue, request: Any) -> BytesValue:
            references.append(weakref.ref(request))
            if ending == b"bug":
                raise ZeroDivisionError
            if ending == b"checkpoint":
                await trio.lowlevel.checkpoint()
            if ending == b"forever":
                await trio.sleep_forever()
            return message

    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[Any]) -> None:
            await serve(
                [Remembering()],
                port=0,
                setting="test",
                board=HealthBoard(),
                stop=trio.Event(),
                grace_s=1,
                task_status=task_status,
            )

        bound = await nursery.start(run)
        gc.collect()
        gc.disable()
        try:
            async with raw_peer(bound.port) as peer:
                timeout = ((b"grpc-timeout", b"100m"),)
                body = request(1, b"x", b"/s/m")[len(request_headers(1, b"/s/m")) :]
                await peer.send(request_headers(1, b"/s/m", timeout) + body)
                await peer.frames_until(frames.HEADERS, 1)
                await until(lambda: bool(references) and references[0]() is None)
        finally:
            gc.enable()
        nursery.cancel_scope.cancel()


async def test_context_variables_of_one_call_are_not_seen_by_the_next() -> None:
    import contextvars

    variable: contextvars.ContextVar[bytes] = contextvars.ContextVar("variable", default=b"unset")
    seen: list[tuple[bytes, bytes]] = []

    class SettingServicer:
        @property
        def service(self) -> Service:
            service = Service("s")
            signature = RPCSignature(Cardinality.UNARY_UNARY, BytesValue, BytesValue)
            service.add_method("m", self.call, signature)
            return service

        async def call(self, message: BytesValue) -> BytesValue:
            found = variable.get()
            token = variable.set(message.value)
            if message.value.startswith(b"suspend"):
                await trio.lowlevel.checkpoint()
            seen.append((found, variable.get()))
            variable.reset(token)  # fails in another context than the token's
            variable.set(message.value)
            return message

    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[Any]) -> None:
            await serve(
                [SettingServicer()],
                port=0,
                setting="test",
                board=HealthBoard(),
                stop=trio.Event(),
                grace_s=1,
                task_status=task_status,
            )

        bound = await nursery.start(run)
        async with raw_peer(bound.port) as peer:
            words = [b"a", b"suspend b", b"c", b"suspend d", b"e"] * 10
            for number, word in enumerate(words):
                await peer.send(request(2 * number + 1, word, b"/s/m"))
            await until(lambda: len(seen) == len(words))
        nursery.cancel_scope.cancel()
    assert sorted(seen) == sorted((b"unset", word) for word in words)


async def test_many_ports_of_a_process_do_not_disturb_each_other() -> None:
    async with open_port() as first, open_port() as second:
        async with raw_peer(first.number) as one, raw_peer(second.number) as two:
            await one.send(request(1, b"forever"))
            await two.send(request(1, b"hello"))
            await two.frames_until(frames.DATA, 1)
        first.stop.set()
        with trio.fail_after(3):
            await first.stopped.wait()
        assert not second.stopped.is_set()

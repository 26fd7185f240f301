"""The proxy does to a connection what it says, and nothing else."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from tests.faults.proxy import BOTH_WAYS, PERFECT, Conditions, Proxy, Way, open_proxy

FAR_S = 15.0


@attrs.define
class EchoServer:
    """Sends back what it gets; keeps the pieces it got, and how connections ended."""

    pieces: list[bytes] = attrs.field(factory=list)
    ends: list[str] = attrs.field(factory=list)

    async def handle(self, stream: trio.SocketStream) -> None:
        async with stream:
            try:
                while piece := await stream.receive_some(65_536):
                    self.pieces.append(piece)
                    await stream.send_all(piece)
                self.ends.append("closed")
            except trio.BrokenResourceError:
                self.ends.append("reset")


@asynccontextmanager
async def echo_behind_proxy(seed: int = 1) -> AsyncIterator[tuple[EchoServer, Proxy]]:
    echo = EchoServer()
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, echo.handle, [listener])
        async with open_proxy(listener.socket.getsockname()[1], seed=seed) as proxy:
            yield echo, proxy
        nursery.cancel_scope.cancel()


async def connect(proxy: Proxy) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", proxy.port)


async def receive_exactly(stream: trio.SocketStream, size_bytes: int) -> bytes:
    received = bytearray()
    with trio.fail_after(FAR_S):
        while len(received) < size_bytes:
            piece = await stream.receive_some(65_536)
            assert piece, f"ended after {len(received)} of {size_bytes} bytes"
            received += piece
    return bytes(received)


async def until(condition: object) -> None:
    assert callable(condition)
    with trio.fail_after(FAR_S):
        while not condition():  # noqa: ASYNC110 - sockets send no events
            await trio.sleep(0.002)


@pytest.mark.parametrize(
    "conditions",
    [
        PERFECT,
        Conditions(slice_bytes=7),
        Conditions(latency_s=0.005, jitter_s=0.02),
        Conditions(latency_s=0.001, jitter_s=0.005, slice_bytes=1_000),
    ],
)
async def test_bytes_arrive_unchanged_and_in_order_under_all_conditions(
    conditions: Conditions,
) -> None:
    content = random.Random(5).randbytes(10_000)
    async with echo_behind_proxy() as (_, proxy):
        proxy.set_conditions(conditions)
        async with await connect(proxy) as stream, trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, content)
            assert await receive_exactly(stream, len(content)) == content
        assert proxy.passed_bytes == dict.fromkeys(Way, len(content))


async def test_latency_delays_each_way_without_slowing_the_flow() -> None:
    async with echo_behind_proxy() as (_, proxy), await connect(proxy) as stream:
        with proxy.under(latency_s=0.05):
            started_s = trio.current_time()
            for _ in range(20):
                await stream.send_all(b"x" * 1_000)
                await trio.sleep(0.002)
            await receive_exactly(stream, 20_000)
            took_s = trio.current_time() - started_s
    # Twice the latency, not twenty times.
    assert 0.1 <= took_s < 0.6


async def test_slices_arrive_as_many_pieces() -> None:
    async with echo_behind_proxy() as (echo, proxy):
        proxy.set_conditions(Conditions(slice_bytes=3))
        async with await connect(proxy) as stream:
            await stream.send_all(b"0123456789" * 30)
            await receive_exactly(stream, 300)
    assert len(echo.pieces) > 20


async def test_what_is_held_in_one_direction_comes_when_it_is_over() -> None:
    async with echo_behind_proxy() as (echo, proxy), await connect(proxy) as stream:
        with proxy.under(held=frozenset({Way.TO_CLIENT})):
            await stream.send_all(b"one way")
            await until(lambda: echo.pieces == [b"one way"])
            with trio.move_on_after(0.1) as silence:
                await stream.receive_some(100)
            assert silence.cancelled_caught
        assert await receive_exactly(stream, 7) == b"one way"


async def test_stalled_network_accepts_connections_and_passes_nothing() -> None:
    async with echo_behind_proxy() as (echo, proxy):
        with proxy.under(held=BOTH_WAYS):
            async with await connect(proxy) as stream:
                await stream.send_all(b"anyone")
                with trio.move_on_after(0.1) as silence:
                    await stream.receive_some(100)
                assert silence.cancelled_caught
                assert not echo.pieces


async def test_cut_is_an_orderly_end_for_both() -> None:
    async with echo_behind_proxy() as (echo, proxy):
        async with await connect(proxy) as stream:
            await stream.send_all(b"x")
            await receive_exactly(stream, 1)
            assert proxy.cut() == 1
            with trio.fail_after(FAR_S):
                assert await stream.receive_some(1) == b""
        await until(lambda: echo.ends == ["closed"])
        await until(lambda: proxy.open_connections == 0)


async def test_reset_is_seen_as_one_by_both() -> None:
    async with echo_behind_proxy() as (echo, proxy):
        async with await connect(proxy) as stream:
            await stream.send_all(b"x")
            await receive_exactly(stream, 1)
            assert proxy.reset() == 1
            with trio.fail_after(FAR_S), pytest.raises(trio.BrokenResourceError):
                await stream.receive_some(1)
        await until(lambda: echo.ends == ["reset"])


async def test_refused_connection_is_reset_and_those_that_exist_go_on() -> None:
    async with echo_behind_proxy() as (_, proxy):
        async with await connect(proxy) as old:
            await old.send_all(b"x")
            await receive_exactly(old, 1)
            with proxy.under(refuses=True):
                async with await connect(proxy) as new:
                    with trio.fail_after(FAR_S), pytest.raises(trio.BrokenResourceError):
                        await new.receive_some(1)
                await old.send_all(b"y")
                assert await receive_exactly(old, 1) == b"y"
        assert proxy.accepted == 2


async def test_server_that_is_not_there_resets_the_client() -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    async with open_proxy(port, seed=1) as proxy, await connect(proxy) as stream:
        with trio.fail_after(FAR_S), pytest.raises(trio.BrokenResourceError):
            await stream.receive_some(1)


async def test_end_of_one_side_is_passed_on_and_the_other_may_go_on() -> None:
    async with echo_behind_proxy() as (echo, proxy):
        async with await connect(proxy) as stream:
            await stream.send_all(b"last words")
            await stream.send_eof()
            assert await receive_exactly(stream, 10) == b"last words"
            with trio.fail_after(FAR_S):
                assert await stream.receive_some(1) == b""
        await until(lambda: echo.ends == ["closed"])
        await until(lambda: proxy.open_connections == 0)


async def test_bad_conditions_that_overlap_are_over_when_the_last_is() -> None:
    async with open_proxy(1, seed=1) as proxy:
        first, second = proxy.under(held=BOTH_WAYS), proxy.under(refuses=True)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert proxy.conditions == Conditions(refuses=True)
        second.__exit__(None, None, None)
        assert proxy.conditions == PERFECT

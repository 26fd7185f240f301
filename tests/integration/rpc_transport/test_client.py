"""The Trio channel against grpcio's server and against ours."""

import functools
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import purerpc
import pytest
import trio
from google.protobuf.wrappers_pb2 import BytesValue

from engine.rpc import TransportLimits
from engine.rpc.client import Channel, ChannelOptions, bind, open_channel
from tests.support.echo_port import EchoServicer, open_port, until
from tests.support.grpcio_server import grpcio_server
from tests.support.raw_peer import frame

SERVICE = EchoServicer().service
MIB = 1 << 20


def value(payload: bytes) -> BytesValue:
    return BytesValue(value=payload)


@asynccontextmanager
async def serving(kind: str) -> AsyncIterator[int]:
    if kind == "trellis":
        async with open_port(limits=TransportLimits(message_bytes_max=9 * MIB)) as port:
            yield port.number
    else:
        with grpcio_server() as number:
            yield number


@pytest.fixture(params=["trellis", "grpcio"])
async def channel(request: pytest.FixtureRequest) -> AsyncIterator[Channel]:
    options = ChannelOptions(message_bytes_max=9 * MIB)
    async with (
        serving(request.param) as number,
        open_channel("127.0.0.1", number, options) as opened,
    ):
        yield opened


@pytest.mark.parametrize("size", [0, 1, MIB, 8 * MIB])
async def test_unary_messages_of_any_size_come_back(channel: Channel, size: int) -> None:
    reply = await bind(SERVICE, channel).Echo(value(bytes(size)))
    assert len(reply.value) == size


async def test_every_cardinality_at_once(channel: Channel) -> None:
    stub = bind(SERVICE, channel)
    results: list[Any] = []

    async def requests() -> AsyncIterator[BytesValue]:
        for _ in range(10):
            yield value(bytes(1_000))

    async def echo() -> None:
        results.append((await stub.Echo(value(b"hi"))).value)

    async def many() -> None:
        async with aclosing(stub.Many(value(b"10 100000"))) as replies:
            results.append(sum([len(reply.value) async for reply in replies]))

    async def collect() -> None:
        results.append((await stub.Collect(requests())).value)

    async def converse() -> None:
        async with stub.Converse(requests()) as replies:
            results.append([len(reply.value) async for reply in replies])

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            for call in (echo, many, collect, converse):
                nursery.start_soon(call)
    assert results.count(b"hi") == 20
    assert results.count(1_000_000) == 20
    assert results.count(b"10000") == 20
    assert results.count([1_000] * 10) == 20


async def test_a_failed_call_raises_its_status_with_metadata(channel: Channel) -> None:
    with pytest.raises(purerpc.InvalidArgumentError) as caught:
        await bind(SERVICE, channel).Echo(value(b"invalid"))
    assert caught.value.status.status_message.endswith("must not be ünknown\n100%")


async def test_metadata_goes_both_ways(channel: Channel) -> None:
    metadata = [("x-text", "a b"), ("x-blob-bin", b"\x00\xff")]
    async with channel.call("/trellis.test.Echo/Echo", metadata=metadata) as call:
        await call.send(value(b"metadata").SerializeToString(), last=True)
        await call.receive_only()
    assert ("x-initial", "first") in call.initial_metadata
    assert set(metadata) <= set(call.trailing_metadata)


async def test_a_call_past_its_timeout_raises_and_the_channel_lives(channel: Channel) -> None:
    stub = bind(SERVICE, channel)
    with pytest.raises(purerpc.DeadlineExceededError), trio.fail_after(2):
        await stub.Echo(value(b"sleep 1"), timeout_s=0.2)
    assert (await stub.Echo(value(b"again"))).value == b"again"


async def test_leaving_a_stream_early_cancels_it(channel: Channel) -> None:
    stub = bind(SERVICE, channel)
    async with aclosing(stub.Many(value(b"100000 10000"))) as replies:
        async for _ in replies:
            break
    assert (await stub.Echo(value(b"again"))).value == b"again"


async def test_a_message_over_the_limit_fails_the_call_alone(channel: Channel) -> None:
    stub = bind(SERVICE, channel)
    with pytest.raises(purerpc.ResourceExhaustedError):
        await stub.Echo(value(b"size 2000000"), message_bytes_max=MIB)
    with pytest.raises(purerpc.ResourceExhaustedError):
        await stub.Echo(value(bytes(2 * MIB)), message_bytes_max=MIB)
    assert (await stub.Echo(value(b"again"))).value == b"again"


async def test_an_error_of_the_request_iterator_comes_out_as_it_is(channel: Channel) -> None:
    async def requests() -> AsyncIterator[BytesValue]:
        yield value(b"x")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await bind(SERVICE, channel).Collect(requests())


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_compressed_requests_are_understood(encoding: str) -> None:
    for kind in ("trellis", "grpcio"):
        async with serving(kind) as number:
            options = ChannelOptions(encoding=encoding)
            async with open_channel("127.0.0.1", number, options) as channel:
                reply = await bind(SERVICE, channel).Echo(value(bytes(100_000)))
                assert len(reply.value) == 100_000


async def test_a_trio_deadline_is_passed_on_to_the_server() -> None:
    with grpcio_server() as number:
        async with open_channel("127.0.0.1", number) as channel:
            with trio.fail_after(7):
                reply = await bind(SERVICE, channel).Echo(value(b"remaining"), timeout_s=None)
    assert 5 < float(reply.value) <= 7


async def test_a_cancelled_call_cancels_its_handler() -> None:
    async with open_port() as port, open_channel("127.0.0.1", port.number) as channel:
        with trio.move_on_after(0.3):
            await bind(SERVICE, channel).Echo(value(b"forever"))
        await until(lambda: port.servicer.cancelled == 1)


async def test_a_lost_connection_fails_calls_at_once_and_is_made_again() -> None:
    async with open_port() as first, open_channel("127.0.0.1", first.number) as channel:
        stub = bind(SERVICE, channel)
        failures: list[Exception] = []

        async def call() -> None:
            with pytest.raises(purerpc.UnavailableError) as caught:
                await stub.Echo(value(b"forever"), timeout_s=None)
            failures.append(caught.value)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(call)
            await until(lambda: first.servicer.running == 5)
            first.stop.set()  # the grace is a second; then calls are cut off
            with trio.fail_after(3):
                await until(lambda: len(failures) == 5)
        await first.stopped.wait()
        with pytest.raises(purerpc.UnavailableError), trio.fail_after(1):
            await stub.Echo(value(b"nobody there"))
        async with open_port(port=first.number):
            await channel.wait_ready(5)
            assert (await stub.Echo(value(b"back"))).value == b"back"


async def until_refused(stub: Any) -> None:
    """Call until the channel has learnt that its server takes no more calls."""
    with trio.fail_after(5):
        while True:
            try:
                await stub.Echo(value(b"still?"), timeout_s=1)
            except purerpc.UnavailableError:
                return


async def test_a_drained_server_finishes_calls_while_others_wait_for_the_next() -> None:
    async with open_port(grace_s=5) as first, open_channel("127.0.0.1", first.number) as channel:
        stub = bind(SERVICE, channel)
        replies: list[bytes] = []

        async def call(payload: bytes, **options: Any) -> None:
            replies.append((await stub.Echo(value(payload), **options)).value)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, b"gate")
            await until(lambda: first.servicer.running == 1)
            first.stop.set()
            await until_refused(stub)
            nursery.start_soon(lambda: call(b"later", wait_for_ready=True))
            first.servicer.gate.set()
            await first.stopped.wait()
            assert replies == [b"gate"]
            async with open_port(port=first.number):
                await until(lambda: replies == [b"gate", b"later"])


async def test_waiting_for_a_server_that_does_not_come_fails_with_the_reason() -> None:
    async with open_port() as port:
        free = port.number
    async with open_channel("127.0.0.1", free) as channel:
        with pytest.raises(purerpc.UnavailableError, match="cannot connect"):
            await channel.wait_ready(0.3)
        with pytest.raises(purerpc.UnavailableError, match="cannot connect"):
            await bind(SERVICE, channel).Echo(value(b""))


async def test_no_more_streams_are_opened_than_the_server_allows() -> None:
    async with (
        open_port(limits=TransportLimits(streams_max=3)) as port,
        open_channel("127.0.0.1", port.number) as channel,
    ):
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(bind(SERVICE, channel).Echo, value(b"sleep 0.05"))
            await until(lambda: port.servicer.running == 3)
            nursery.cancel_scope.deadline = trio.current_time() + 5
        assert not nursery.cancel_scope.cancelled_caught


async def test_a_bearer_token_is_sent_with_every_call() -> None:
    class Secret:
        def reveal(self) -> str:
            return "s3cret"

    async with open_port(bearer_token=Secret()) as port:
        options = ChannelOptions(bearer_token="s3cret")
        async with open_channel("127.0.0.1", port.number, options) as channel:
            assert (await bind(SERVICE, channel).Echo(value(b"in"))).value == b"in"
        async with open_channel("127.0.0.1", port.number) as channel:
            with pytest.raises(purerpc.UnauthenticatedError):
                await bind(SERVICE, channel).Echo(value(b"out"))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="another protocol"),
        pytest.param(frame(4, 0, 0) + frame(6, 0, 0, b"short"), id="malformed"),
    ],
)
async def test_a_server_that_breaks_the_protocol_is_unavailable(answer: bytes) -> None:
    async def answer_badly(stream: trio.SocketStream) -> None:
        await stream.send_all(answer)
        await stream.receive_some()

    async with trio.open_nursery() as nursery:
        serve = functools.partial(trio.serve_tcp, answer_badly, 0, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        number = listener.socket.getsockname()[1]
        options = ChannelOptions(connect_timeout_s=0.5)
        async with open_channel("127.0.0.1", number, options) as channel:
            with pytest.raises(purerpc.UnavailableError):
                await bind(SERVICE, channel).Echo(value(b""), timeout_s=3)
        nursery.cancel_scope.cancel()


async def test_a_server_that_accepts_and_says_nothing_is_unavailable() -> None:
    ended = trio.Event()

    async def say_nothing(stream: trio.SocketStream) -> None:
        while await stream.receive_some():
            pass
        ended.set()

    async with trio.open_nursery() as nursery:
        serve = functools.partial(trio.serve_tcp, say_nothing, 0, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        number = listener.socket.getsockname()[1]
        options = ChannelOptions(connect_timeout_s=0.2, backoff_first_s=10)
        async with open_channel("127.0.0.1", number, options) as channel:
            with pytest.raises(purerpc.UnavailableError, match="does not answer"):
                await bind(SERVICE, channel).Echo(value(b""))
            with trio.fail_after(2):
                await ended.wait()  # its socket is closed, not left open
        nursery.cancel_scope.cancel()


async def test_an_error_in_a_channels_body_comes_out_as_it_is() -> None:
    with grpcio_server() as number, pytest.raises(KeyError, match="mine"):
        async with open_channel("127.0.0.1", number):
            raise KeyError("mine")


async def test_a_silent_server_is_found_dead() -> None:
    async def go_silent(stream: trio.SocketStream) -> None:
        await stream.send_all(frame(4, 0, 0))
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        serve = functools.partial(trio.serve_tcp, go_silent, 0, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        number = listener.socket.getsockname()[1]
        options = ChannelOptions(keepalive_s=0.2, keepalive_timeout_s=0.2)
        async with open_channel("127.0.0.1", number, options) as channel:
            with pytest.raises(purerpc.UnavailableError, match="pings"), trio.fail_after(3):
                await bind(SERVICE, channel).Echo(value(b""), timeout_s=None)
        nursery.cancel_scope.cancel()


async def test_a_message_over_the_limit_ends_a_streamed_request_at_once() -> None:
    async def requests() -> AsyncIterator[BytesValue]:
        yield BytesValue(value=b"fits")
        yield BytesValue(value=bytes(5 << 20))

    async with open_port() as port, open_channel("127.0.0.1", port.number) as channel:
        with trio.fail_after(5), pytest.raises(purerpc.RpcFailedError) as caught:
            await bind(SERVICE, channel).Collect(requests())
        assert caught.value.status.status_code is purerpc.StatusCode.RESOURCE_EXHAUSTED

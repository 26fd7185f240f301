"""What a hostile or broken peer gets, and that nobody else notices."""

import gzip
import logging
import statistics
from collections.abc import AsyncIterator

import attrs
import pytest
import trio

from engine import metrics
from engine.rpc import TransportLimits
from engine.rpc.http2 import frames
from engine.rpc.http2.frames import ErrorCode, Setting
from engine.rpc.http2.header_blocks import encode_headers
from tests.support.echo_port import Port, open_port, until
from tests.support.raw_peer import (
    RawPeer,
    frame,
    message,
    raw_peer,
    request,
    request_headers,
    setting,
)

BOMB = gzip.compress(bytes(50 << 20), 9)
LIMITS = TransportLimits(
    linger_s=0.2,
    handshake_timeout_s=0.3,
    frame_timeout_s=0.3,
    request_timeout_s=0.5,
    idle_timeout_s=30.0,
    keepalive_s=30.0,
    keepalive_timeout_s=30.0,
    stall_timeout_s=0.5,
    streams_max=100,
)


@pytest.fixture
async def strict() -> AsyncIterator[Port]:
    async with open_port(limits=LIMITS) as opened:
        yield opened


async def assert_served(port: Port) -> None:
    """A well-behaved call on a connection of its own is answered."""
    async with raw_peer(port.number) as peer:
        await peer.send(request(1, b"fine"))
        await peer.frames_until(frames.DATA, 1)


async def closed_within(peer: RawPeer, timeout_s: float) -> None:
    await peer.frames_until(None, timeout_s=timeout_s)


@pytest.mark.parametrize(
    "first_bytes",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", bytes(100), b"PRI * HT?"],
)
async def test_a_peer_of_another_protocol_is_cut_off(strict: Port, first_bytes: bytes) -> None:
    async with raw_peer(strict.number, greet=False) as peer:
        await peer.send(first_bytes)
        assert await peer.goaway_code() == ErrorCode.PROTOCOL_ERROR
    await assert_served(strict)


async def test_connections_that_are_turned_away_are_all_counted_and_few_told_of(
    strict: Port, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    refused = metrics.RPC_CONNECTIONS_REFUSED.labels("protocol_error")
    before = refused._value.get()
    for _ in range(25):
        async with raw_peer(strict.number, greet=False) as peer:
            await peer.send(b"GET / HTTP/1.1\r\n\r\n")
            await peer.goaway_code()
    assert refused._value.get() - before == 25
    assert len([one for one in caplog.records if "refused" in one.message]) == 10


async def test_a_malformed_frame_ends_its_connection_and_cancels_its_handlers(strict: Port) -> None:
    async with raw_peer(strict.number) as peer:
        await peer.send(request(1, b"forever"))
        await until(lambda: strict.servicer.running == 1)
        await peer.send(frame(frames.PING, 0, 0, b"short"))
        assert await peer.goaway_code() == ErrorCode.FRAME_SIZE_ERROR
    await until(lambda: strict.servicer.cancelled == 1)
    await assert_served(strict)


async def test_rapid_reset_ends_the_connection(strict: Port) -> None:
    async with raw_peer(strict.number) as peer:
        for stream_id in range(1, 4_001, 2):
            await peer.send(
                request(stream_id, b"forever") + frame(frames.RST_STREAM, 0, stream_id, bytes(4))
            )
        assert await peer.goaway_code() == ErrorCode.ENHANCE_YOUR_CALM
    await until(lambda: strict.servicer.running == 0)
    await assert_served(strict)


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(frame(frames.PING, 0, 0, bytes(8)), id="pings"),
        pytest.param(frame(frames.SETTINGS, 0, 0), id="settings"),
        pytest.param(frame(frames.WINDOW_UPDATE, 0, 0, b"\0\0\0\1"), id="window updates"),
        pytest.param(frame(0x55, 0, 0), id="unknown frames"),
        pytest.param(frame(frames.PRIORITY, 0, 1, bytes(5)), id="priorities"),
    ],
)
async def test_floods_end_the_connection(strict: Port, flood: bytes) -> None:
    async with raw_peer(strict.number) as peer, trio.open_nursery() as nursery:

        async def send_for_ever() -> None:
            while True:
                await peer.send(flood * 1_000)
                await trio.lowlevel.checkpoint()

        nursery.start_soon(send_for_ever)
        assert await peer.goaway_code() == ErrorCode.ENHANCE_YOUR_CALM
        nursery.cancel_scope.cancel()
    await assert_served(strict)


async def test_a_peer_that_floods_and_never_reads_is_dropped(strict: Port) -> None:
    async with raw_peer(strict.number) as peer:
        big = request_headers(1) + frame(frames.DATA, 1, 1, message(b"size 4000000"))
        window = frame(frames.WINDOW_UPDATE, 0, 0, b"\x7f\0\0\0")
        await peer.send(window + setting(Setting.INITIAL_WINDOW_SIZE, 2**31 - 1) + big)
        await until(lambda: strict.servicer.running == 0)
        with trio.fail_after(5):
            try:
                while True:  # pings whose answers nobody reads
                    await peer.stream.send_all(frame(frames.PING, 0, 0, bytes(8)) * 10)
                    await trio.sleep(0.05)
            except trio.BrokenResourceError:
                pass
    await assert_served(strict)


@pytest.mark.parametrize(
    "beginning",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(frames.CLIENT_PREFACE[:10], id="half a preface"),
        pytest.param(frames.CLIENT_PREFACE, id="no settings"),
    ],
)
async def test_a_handshake_that_does_not_come_times_out(strict: Port, beginning: bytes) -> None:
    async with raw_peer(strict.number, greet=False) as peer:
        await peer.send(beginning)
        await closed_within(peer, 3.0)


@pytest.mark.parametrize(
    "beginning",
    [
        pytest.param(b"\0\0", id="half a frame header"),
        pytest.param(frame(frames.DATA, 0, 1, bytes(100))[:-1], id="all but one byte"),
        pytest.param(frame(frames.HEADERS, 0, 1, b"\x83"), id="a block without its end"),
    ],
)
async def test_a_frame_that_does_not_end_times_out(strict: Port, beginning: bytes) -> None:
    async with raw_peer(strict.number) as peer:
        await peer.send(beginning)
        assert await peer.goaway_code() == ErrorCode.ENHANCE_YOUR_CALM


async def test_a_frame_that_drips_in_times_out(strict: Port) -> None:
    async with raw_peer(strict.number) as peer:
        with trio.fail_after(5):
            try:
                for octet in frame(frames.PING, 0, 0, bytes(8)) * 1_000:
                    await peer.stream.send_all(bytes((octet,)))
                    await trio.sleep(0.1)
            except trio.BrokenResourceError:
                pass


async def test_a_request_without_its_message_times_out_alone(strict: Port) -> None:
    async with raw_peer(strict.number) as peer:
        await peer.send(request_headers(1) + request(3, b"gate"))
        received = await peer.frames_until(frames.HEADERS, 1)
        assert b"in%20time" in received[-1].payload or b"in time" in received[-1].payload
        strict.servicer.gate.set()
        await peer.frames_until(frames.DATA, 3)


async def test_a_zero_window_holds_a_reply_for_a_while_only(strict: Port) -> None:
    async with raw_peer(strict.number) as peer:
        await peer.send(setting(Setting.INITIAL_WINDOW_SIZE, 0) + request(1, b"size 100000"))
        received = await peer.frames_until(frames.RST_STREAM, 1)
        assert not any(f.kind == frames.DATA for f in received)
        assert frames.unpack_uint32(received[-1].payload) == ErrorCode.CANCEL


async def test_a_zero_window_stops_a_streaming_handler(strict: Port) -> None:
    async with raw_peer(strict.number) as peer:
        path = b"/trellis.test.Echo/Many"
        await peer.send(
            setting(Setting.INITIAL_WINDOW_SIZE, 0) + request(1, b"1000000 10000", path)
        )
        await until(lambda: strict.servicer.running == 1)
        await peer.frames_until(frames.RST_STREAM, 1)
        assert strict.servicer.taken < 100


async def test_headers_over_the_limit_fail_the_call_alone(strict: Port) -> None:
    async with raw_peer(strict.number) as peer:
        bomb = (b"x", b"v" * 12_000)
        await peer.send(request_headers(1, extra=(bomb, (b"y", b"w" * 4_000)), end=True))
        received = await peer.frames_until(frames.HEADERS, 1)
        assert b"8" in received[-1].payload
        await peer.send(request(3, b"fine"))
        await peer.frames_until(frames.DATA, 3)


async def test_trailers_over_the_limit_fail_the_call_alone(strict: Port) -> None:
    async with raw_peer(strict.number) as peer:
        block = encode_headers([(b"x%d" % number, b"v" * 100) for number in range(140)])
        await peer.send(request_headers(1) + frame(frames.DATA, 0, 1, message(b"x")))
        await peer.send(frame(frames.HEADERS, 5, 1, block))
        received = await peer.frames_until(frames.HEADERS, 1)
        assert b"trailers are too large" in received[-1].payload
        await peer.send(request(3, b"fine"))
        await peer.frames_until(frames.DATA, 3)


async def test_a_header_block_over_the_limit_ends_the_connection(strict: Port) -> None:
    async with raw_peer(strict.number) as peer:
        await peer.send(frame(frames.HEADERS, 4, 1, encode_headers([(b"x", bytes(20_000))])))
        assert await peer.goaway_code() == ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\0\xff\xff\xff\xff", id="oversized prefix"),
        pytest.param(
            b"\1" + len(BOMB).to_bytes(4, "big") + BOMB,
            id="compression bomb",
        ),
        pytest.param(b"\1\0\0\0\5abcde", id="no gzip"),
        pytest.param(b"\7\0\0\0\1a", id="unknown flag"),
        pytest.param(b"\0\0\0\0\5ab", id="cut short"),
        pytest.param(b"", id="no message"),
        pytest.param(message(b"a") + message(b"b"), id="two messages"),
        pytest.param(b"\0\0\0\0\2\xff\xff", id="no protobuf"),
    ],
)
async def test_a_body_that_is_no_message_fails_the_call_alone(strict: Port, body: bytes) -> None:
    async with raw_peer(strict.number) as peer:
        gzip_encoding = ((b"grpc-encoding", b"gzip"),)
        await peer.send(request_headers(1, extra=gzip_encoding))
        for start in range(0, len(body), 16_000):
            await peer.send(frame(frames.DATA, 0, 1, body[start : start + 16_000]))
        await peer.send(frame(frames.DATA, 1, 1))
        received = await peer.frames_until(frames.HEADERS, 1)
        assert b"grpc-status" in received[-1].payload
        await peer.send(request(3, b"fine"))
        await peer.frames_until(frames.DATA, 3)
    assert strict.servicer.running == 0


async def test_requests_in_parts_cannot_fill_the_memory(strict: Port) -> None:
    """A hundred half messages would need more than the connection's window: one goes."""
    async with raw_peer(strict.number) as peer:
        part = b"\0" + (4 << 20).to_bytes(4, "big") + bytes(900_000)
        async with trio.open_nursery() as nursery:

            async def send_parts() -> None:
                for stream_id in range(1, 200, 2):
                    await peer.send(request_headers(stream_id))
                    for start in range(0, len(part), 30_000):
                        await peer.send(
                            frame(frames.DATA, 0, stream_id, part[start : start + 30_000])
                        )

            nursery.start_soon(send_parts)
            received = await peer.frames_until(frames.HEADERS)
            assert b"too many large requests" in received[-1].payload
            nursery.cancel_scope.cancel()


async def test_a_half_closed_socket_is_closed_and_its_handlers_cancelled(strict: Port) -> None:
    async with raw_peer(strict.number) as peer:
        await peer.send(request(1, b"forever"))
        await until(lambda: strict.servicer.running == 1)
        await peer.stream.send_eof()
        await closed_within(peer, 3.0)
    assert strict.servicer.cancelled == 1


async def test_an_idle_connection_is_told_to_go() -> None:
    limits = attrs.evolve(LIMITS, idle_timeout_s=0.3)
    async with open_port(limits=limits) as port, raw_peer(port.number) as peer:
        assert await peer.goaway_code() == ErrorCode.NO_ERROR


async def test_a_silent_peer_with_a_call_under_way_is_found_dead() -> None:
    limits = attrs.evolve(LIMITS, keepalive_s=0.3, keepalive_timeout_s=0.3)
    async with open_port(limits=limits) as port, raw_peer(port.number) as peer:
        await peer.send(request(1, b"forever"))
        await peer.frames_until(frames.PING)
        await closed_within(peer, 3.0)
        await until(lambda: port.servicer.cancelled == 1)


async def test_a_peer_that_answers_pings_keeps_its_call() -> None:
    limits = attrs.evolve(LIMITS, keepalive_s=0.2, keepalive_timeout_s=0.3)
    async with open_port(limits=limits) as port, raw_peer(port.number) as peer:
        await peer.send(request(1, b"forever"))
        for _ in range(2):
            *_, ping = await peer.frames_until(frames.PING)
            await peer.send(frame(frames.PING, frames.FLAG_ACK, 0, ping.payload))
        assert port.servicer.running == 1


async def test_a_call_too_many_gets_refused_and_may_be_repeated(strict: Port) -> None:
    async with raw_peer(strict.number) as peer:
        await peer.send(b"".join(request(number, b"gate") for number in range(1, 203, 2)))
        *_, reset = await peer.frames_until(frames.RST_STREAM)
        assert reset.stream_id == 201
        assert frames.unpack_uint32(reset.payload) == ErrorCode.REFUSED_STREAM
        await until(lambda: strict.servicer.running == 100)


async def test_a_connection_too_many_is_closed_at_once() -> None:
    limits = attrs.evolve(LIMITS, connections_max=2)
    async with open_port(limits=limits) as port:
        async with raw_peer(port.number) as first, raw_peer(port.number) as second:
            for peer in (first, second):
                await peer.frames_until(frames.SETTINGS)
            async with raw_peer(port.number, greet=False) as third:
                await closed_within(third, 2.0)
        await assert_served_soon(port)


async def assert_served_soon(port: Port) -> None:
    with trio.fail_after(3):
        while True:
            try:
                await assert_served(port)
            except AssertionError:
                await trio.sleep(0.05)
            else:
                return


async def test_a_well_behaved_client_hardly_notices_floods_and_idle_crowds(strict: Port) -> None:
    async with raw_peer(strict.number) as good, trio.open_nursery() as nursery:
        stream_ids = iter(range(1, 100_000, 2))

        async def p99_ms(calls: int) -> float:
            times = []
            for _ in range(calls):
                stream_id = next(stream_ids)
                began = trio.current_time()
                await good.send(request(stream_id, b"hello"))
                await good.frames_until(frames.DATA, stream_id)
                times.append(trio.current_time() - began)
            return statistics.quantiles(times, n=100)[98] * 1e3

        async def attack(flood: bytes) -> None:
            while True:
                async with raw_peer(strict.number) as peer:
                    for _ in range(20):
                        await peer.send(flood)
                    await trio.sleep(0.02)

        async def linger() -> None:
            async with raw_peer(strict.number):
                await trio.sleep_forever()

        idle_ms = await p99_ms(300)
        for _ in range(300):
            nursery.start_soon(linger)
        for flood in (
            frame(frames.PING, 0, 0, bytes(8)) * 100,
            request_headers(1) + frame(frames.RST_STREAM, 0, 1, bytes(4)),
            bytes(1_000),
        ):
            nursery.start_soon(attack, flood)
        await trio.sleep(0.2)
        attacked_ms = await p99_ms(300)
        nursery.cancel_scope.cancel()
    # The attackers share this process and its one core, so the bound is loose here; the
    # benchmark measures it with processes of their own.
    assert attacked_ms < 20 * idle_ms + 50

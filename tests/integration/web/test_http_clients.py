"""Clients that want more of the HTTP server than an answer, over real sockets."""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

import pytest
import trio
import trio.testing
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from engine.health import HealthBoard
from engine.web import run_http

GRACE_S = 1.0
STALL_S = 0.5
ASK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
ASK_MUCH = b"GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
UPGRADE = (
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
)
MUCH = b"x" * (64 << 20)
"""More than the buffers of both sides hold."""


async def answer_much(_request: Request) -> Response:
    return PlainTextResponse(MUCH)


@asynccontextmanager
async def open_server(
    *, stall_s: float = STALL_S, most_connections: int = 100
) -> AsyncIterator[tuple[int, trio.Nursery]]:
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            run = partial(
                run_http,
                "127.0.0.1",
                0,
                HealthBoard(),
                grace_s=GRACE_S,
                stall_s=stall_s,
                most_connections=most_connections,
                extra_routes=[Route("/much", answer_much)],
            )
            _, port = await nursery.start(run)
            yield port, nursery
            nursery.cancel_scope.cancel()


def living_tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


async def read_to_end(stream: trio.SocketStream) -> bytes:
    received = bytearray()
    try:
        with trio.fail_after(10):
            async for data in stream:
                received += data
    except trio.BrokenResourceError:
        pass  # reset by the server: an end as good
    return bytes(received)


@pytest.mark.parametrize(
    "pieces",
    [
        [PREFACE + SETTINGS],
        [PREFACE[:1], PREFACE[1:] + SETTINGS],
        [PREFACE[:11], PREFACE[11:] + SETTINGS],
        [ASK, PREFACE + SETTINGS],
        [UPGRADE + PREFACE + SETTINGS],
    ],
    ids=["at once", "first letter alone", "cut before its end", "after a request", "by upgrade"],
)
async def test_http2_is_not_spoken(pieces: list[bytes]) -> None:
    async with open_server() as (port, _):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            for number, piece in enumerate(pieces):
                await stream.send_all(piece)
                if number + 1 < len(pieces) and piece == ASK:
                    assert b"200" in await stream.receive_some()
                await trio.testing.wait_all_tasks_blocked(0.02)
            received = await read_to_end(stream)

    assert SETTINGS[3:5] not in received[:9]
    assert b"101" not in received[:20]


async def test_a_client_that_does_not_read_is_given_up() -> None:
    async with open_server() as (port, _):
        before = living_tasks()
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(ASK_MUCH * 3)
            received = len(await stream.receive_some(1))
            # Nothing is left of it: not who sends, nor who waits to read the next request.
            with trio.fail_after(10):
                while living_tasks() > before:  # noqa: ASYNC110
                    await trio.sleep(0.01)
            received += len(await read_to_end(stream))

    assert 0 < received < len(MUCH)


async def test_a_client_that_does_not_read_does_not_hold_up_the_stop() -> None:
    async with open_server(stall_s=1_000) as (port, nursery):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(ASK_MUCH)
        await stream.receive_some()
        began = trio.current_time()
        nursery.cancel_scope.cancel()

    assert trio.current_time() - began < GRACE_S + 2
    await stream.aclose()


async def test_a_client_that_leaves_amid_its_answer_leaves_nothing_behind() -> None:
    async with open_server(stall_s=1_000) as (port, _):
        before = living_tasks()
        for _ in range(5):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(ASK_MUCH * 3)
            await stream.receive_some()
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            await stream.aclose()
        with trio.fail_after(10):
            while living_tasks() > before:  # noqa: ASYNC110
                await trio.sleep(0.01)


async def test_a_reader_that_is_slow_but_reads_gets_all() -> None:
    async with open_server() as (port, _), await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(b"GET /much HTTP/1.0\r\nHost: localhost\r\n\r\n")
        received = 0
        # For longer than a stall, in all.
        for _ in range(6):
            received += len(await stream.receive_some(100_000))
            await trio.sleep(STALL_S / 4)
        received += len(await read_to_end(stream))

    assert received > len(MUCH)


async def test_connections_are_bounded() -> None:
    async with open_server(most_connections=3) as (port, _), AsyncExitStack() as closing:
        kept = []
        for _ in range(3):
            stream = await closing.enter_async_context(
                await trio.open_tcp_stream("127.0.0.1", port)
            )
            kept.append(stream)
            assert await is_answered(stream)
        async with await trio.open_tcp_stream("127.0.0.1", port) as one_more:
            assert not await is_answered(one_more)
        # Those who were there are served on, and who leaves makes room.
        assert await is_answered(kept[0])
        await kept[1].aclose()
        with trio.fail_after(15):
            answered = False
            while not answered:
                async with await trio.open_tcp_stream("127.0.0.1", port) as again:
                    answered = await is_answered(again)
                await trio.sleep(0.05)


async def is_answered(stream: trio.SocketStream) -> bool:
    try:
        await stream.send_all(ASK)
        received = b""
        while not received.endswith(b'{"alive":true}'):
            if not (data := await stream.receive_some()):
                return False
            received += data
    except trio.BrokenResourceError:
        return False
    return True


async def test_a_head_that_trickles_is_cut_off() -> None:
    async with open_server() as (port, _), await trio.open_tcp_stream("127.0.0.1", port) as stream:
        began = trio.current_time()
        with suppress(trio.BrokenResourceError):
            while trio.current_time() - began < 12:
                await stream.send_all(b"G")
                await trio.sleep(0.2)
    # Hypercorn's time for an idle connection, which the first bytes do not end.
    assert trio.current_time() - began < 8

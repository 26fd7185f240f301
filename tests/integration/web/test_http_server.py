"""The HTTP server over real sockets."""

import http.client
import json
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from engine.errors import AddressInUseError
from engine.health import HealthBoard
from engine.web import run_http

GRACE_S = 2.0


@attrs.frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@attrs.frozen
class Server:
    port: int
    nursery: trio.Nursery

    async def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        def run() -> Answer:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request(
                    method, path, headers={k.replace("_", "-"): v for k, v in headers.items()}
                )
                response = connection.getresponse()
                names = {name.lower(): value for name, value in response.getheaders()}
                return Answer(response.status, names, response.read())
            finally:
                connection.close()

        return await trio.to_thread.run_sync(run)

    def stop(self) -> None:
        self.nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_server(
    board: HealthBoard | None = None, routes: Sequence[BaseRoute] = ()
) -> AsyncIterator[Server]:
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            _, port = await nursery.start(
                partial(
                    run_http,
                    "127.0.0.1",
                    0,
                    board or HealthBoard(),
                    grace_s=GRACE_S,
                    extra_routes=routes,
                )
            )
            yield Server(port, nursery)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "accept",
    ["*/*", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"],
)
async def test_metrics_are_in_the_text_format_for_every_scraper(accept: str) -> None:
    async with open_server() as server:
        answer = await server.ask("/metrics", accept=accept)

    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"# TYPE python_info gauge" in answer.body


async def test_ready_follows_the_required_parts_and_tells_all() -> None:
    board = HealthBoard()
    board.register("store", required=True)
    board.register("redis", required=False)
    async with open_server(board) as server:
        before = await server.ask("/readyz")
        board.set("store", ok=True, detail="open")
        after = await server.ask("/readyz")

    assert before.status == 503
    assert before.json() == {
        "ready": False,
        "parts": {
            "store": {"ok": False, "detail": "starting", "required": True},
            "redis": {"ok": False, "detail": "starting", "required": False},
        },
    }
    assert after.status == 200
    assert after.json()["ready"] is True
    assert after.json()["parts"]["store"] == {"ok": True, "detail": "open", "required": True}


async def test_alive_does_not_depend_on_the_parts() -> None:
    board = HealthBoard()
    board.register("store", required=True)
    async with open_server(board) as server:
        answer = await server.ask("/healthz")

    assert (answer.status, answer.json()) == (200, {"alive": True})


async def test_unknown_path_is_a_json_404_with_security_headers() -> None:
    async with open_server() as server:
        answer = await server.ask("/nothing/here")

    assert (answer.status, answer.json()) == (404, {"error": "not found"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("path", "method", "host", "status"),
    [
        ("/metrics", "GET", "localhost", 200),
        ("/healthz", "GET", "localhost", 200),
        ("/nothing", "GET", "localhost", 404),
        ("/metrics", "DELETE", "localhost", 405),
        ("/metrics", "OPTIONS", "localhost", 405),
        ("/metrics", "GET", "rebound.example", 421),
    ],
)
async def test_every_answer_keeps_other_sites_out(
    path: str, method: str, host: str, status: int
) -> None:
    async with open_server() as server:
        answer = await server.ask(path, method, host=host, origin="http://evil.example")

    assert answer.status == status
    headers = answer.headers
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    # No other origin is allowed anything, whatever it asks.
    assert not [name for name in headers if name.startswith("access-control-")]


async def test_head_has_no_body_and_other_methods_are_refused() -> None:
    async with open_server() as server:
        head = await server.ask("/healthz", "HEAD")
        post = await server.ask("/healthz", "POST")

    assert (head.status, head.body) == (200, b"")
    assert (post.status, post.headers["allow"]) == (405, "GET, HEAD")


async def test_a_rebound_host_name_is_refused() -> None:
    async with open_server() as server:
        answer = await server.ask("/metrics", host="evil.example")

    assert answer.status == 421
    assert b"python_info" not in answer.body


async def test_a_failing_route_is_logged_and_its_traceback_not_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(_request: Request) -> Response:
        raise RuntimeError("marker")

    async with open_server(routes=[Route("/fail", fail)]) as server:
        with caplog.at_level(logging.ERROR):
            answer = await server.ask("/fail")
        after = await server.ask("/healthz")

    assert (answer.status, answer.json()) == (500, {"error": "internal error"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "RuntimeError: marker" in caplog.text
    assert after.status == 200


async def test_a_request_under_way_is_answered_before_the_stop() -> None:
    entered, leave = trio.Event(), trio.Event()

    async def wait(_request: Request) -> Response:
        entered.set()
        await leave.wait()
        return PlainTextResponse("finished")

    answers: list[Answer] = []
    async with open_server(routes=[Route("/wait", wait)]) as server, trio.open_nursery() as nursery:

        async def ask() -> None:
            answers.append(await server.ask("/wait"))

        nursery.start_soon(ask)
        await entered.wait()
        server.stop()
        with trio.CancelScope(shield=True), trio.fail_after(5):
            await _wait_refused(server.port)
            leave.set()

    assert [answer.body for answer in answers] == [b"finished"]


async def _wait_refused(port: int) -> None:
    """Wait until the port no longer accepts connections."""
    while True:
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
        except OSError:
            return
        await stream.aclose()


async def test_the_stop_is_bounded_when_a_request_does_not_end() -> None:
    entered = trio.Event()

    async def hang(_request: Request) -> Response:
        entered.set()
        await trio.sleep_forever()
        raise AssertionError

    async with open_server(routes=[Route("/hang", hang)]) as server:
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        await stream.send_all(b"GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await entered.wait()
        started = trio.current_time()
        server.stop()

    assert trio.current_time() - started < GRACE_S + 2
    await stream.aclose()


async def test_the_stop_does_not_wait_for_idle_connections() -> None:
    async with open_server() as server:
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await stream.receive_some()
        started = trio.current_time()
        server.stop()

    assert trio.current_time() - started < GRACE_S / 2
    await stream.aclose()


async def test_a_taken_port_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressInUseError, match=rf"{port}.*server_ports\.metrics"):
            await run_http("127.0.0.1", port, HealthBoard(), grace_s=1)


async def test_an_address_that_others_reach_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    # One for documentation, which no machine has: nothing is opened.
    with pytest.raises(AddressInUseError):
        await run_http("192.0.2.1", 0, HealthBoard(), grace_s=1)

    assert "http without TLS: tokens and data cross the network in the clear" in caplog.messages


async def test_children_do_not_inherit_the_listening_socket() -> None:
    async with open_server():
        listening = [fd for fd in _sockets() if _is_listening(fd)]

        assert listening
        assert not any(os.get_inheritable(fd) for fd in listening)


def _sockets() -> list[int]:
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        fd = int(entry.name)
        with suppress(OSError):  # the listing's own descriptor is closed by now
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                found.append(fd)
    return found


def _is_listening(fd: int) -> bool:
    with socket.socket(fileno=os.dup(fd)) as duplicate:
        is_inet = duplicate.family == socket.AF_INET
        return is_inet and bool(duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
)
BAD_INPUT: dict[str, Callable[[], bytes]] = {
    "garbage": lambda: b"\x16\x03\x01\x00\xff" * 50,
    "no host": lambda: b"GET / HTTP/1.1\r\n\r\n",
    "endless line": lambda: b"GET /" + b"a" * 200_000,
    "many headers": lambda: b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 20_000,
    "broken http2": lambda: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 1000,
    "bad upgrade": lambda: UPGRADE + b"HTTP2-Settings: !!!\r\n\r\n" + b"\x00" * 100,
    "short body": lambda: b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx",
    "two lengths": lambda: (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"
    ),
    "raw bytes": lambda: b"GET /\xff HTTP/1.1\r\nHost: \xff\r\n\r\n",
    "bad version": lambda: b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "bad accept": lambda: (
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain;version=\xff,;;=\r\n\r\n"
    ),
}


@pytest.mark.parametrize("name", BAD_INPUT)
async def test_malformed_input_costs_its_sender_the_connection_and_nobody_else(name: str) -> None:
    async with open_server() as server:
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        try:
            await stream.send_all(BAD_INPUT[name]())
            await stream.send_eof()
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass  # reset by the server, which is as good an answer
        finally:
            await stream.aclose()

        answer = await server.ask("/healthz")

    assert answer.status == 200

"""Which requests pass, and what every response carries."""

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Scope

from engine.web.guard import Guard, host_name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost", "localhost"),
        ("LocalHost:9100", "localhost"),
        ("127.0.0.1:9100", "127.0.0.1"),
        ("[::1]:9100", "::1"),
        ("[::1]", "::1"),
        ("evil.example:80", "evil.example"),
        ("", ""),
    ],
)
def test_host_name_drops_port_and_brackets(header: str, name: str) -> None:
    assert host_name(header) == name


async def ask(bound_host: str, host: str | None, method: str = "GET") -> tuple[int, dict[str, str]]:
    """Send one request through a guard and return the response's status and headers."""
    messages: list[Message] = []
    scope: Scope = {
        "type": "http",
        "method": method,
        "path": "/",
        "headers": [] if host is None else [(b"host", host.encode())],
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    await Guard(PlainTextResponse("behind"), bound_host)(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
    return messages[0]["status"], headers


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:1", "[::1]:1", None])
async def test_loopback_names_reach_a_loopback_server(host: str | None) -> None:
    status, _ = await ask("127.0.0.1", host)

    assert status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9100", "10.1.2.3", "[fe80::1]"])
async def test_a_rebound_name_does_not_reach_a_loopback_server(host: str) -> None:
    status, _ = await ask("127.0.0.1", host)

    assert status == 421


async def test_any_name_reaches_a_server_on_a_public_address() -> None:
    status, _ = await ask("10.1.2.3", "trellis.example:9100")

    assert status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "NONSENSE"])
async def test_methods_that_change_things_are_refused(method: str) -> None:
    status, headers = await ask("127.0.0.1", "localhost", method)

    assert status == 405
    assert headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(("method", "host"), [("GET", "localhost"), ("POST", "x"), ("GET", "x")])
async def test_every_response_carries_the_security_headers(method: str, host: str) -> None:
    _, headers = await ask("127.0.0.1", host, method)

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]


async def test_websockets_are_closed() -> None:
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        messages.append(message)

    guard = Guard(PlainTextResponse("behind"), "127.0.0.1")
    await guard({"type": "websocket", "path": "/", "headers": []}, receive, send)

    assert [message["type"] for message in messages] == ["websocket.close"]

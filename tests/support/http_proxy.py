"""An HTTP proxy before a real server, which spoils chosen exchanges and passes the others on."""

import http.client
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs

_PASSED_ON = {"transfer-encoding", "connection", "content-length", "keep-alive", "host"}


@attrs.frozen
class Exchange:
    """What is to become of one request; as it comes, nothing."""

    status: int | None = None
    """Answered with this instead of being passed on."""
    headers: dict[str, str] = attrs.field(factory=dict)
    body: bytes = b""
    lose_answer: bool = False
    """Passed on, but the connection is closed instead of the answer."""
    cut_answer_at: int | None = None
    """Passed on, but the connection is closed after so many bytes of the answer's body."""
    change_answer: Callable[[bytes], bytes] | None = None
    change_request: Callable[[bytes], bytes] | None = None


GOOD = Exchange()


@attrs.define
class HttpProxy:
    """Decides by `choose`, or else by `script`: what to do with the next requests, in order."""

    port: int
    script: "deque[Exchange]" = attrs.field(factory=deque)
    choose: Callable[[str, str], Exchange | None] | None = None
    """Given method and path with query; None leaves the request to the script."""
    requests: list[str] = attrs.field(factory=list)

    def next_exchange(self, method: str, path: str) -> Exchange:
        self.requests.append(f"{method} {path}")
        chosen = self.choose(method, path) if self.choose else None
        if chosen is not None:
            return chosen
        return self.script.popleft() if self.script else GOOD


@contextmanager
def run_http_proxy(server_port: int) -> Iterator[HttpProxy]:
    """Run the proxy in threads while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def _exchange(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            what = proxy.next_exchange(self.command, self.path)
            if what.status is not None:
                self._answer(what.status, what.headers, what.body)
                return
            if what.change_request is not None:
                body = what.change_request(body)
            status, headers, answer = self._pass_on(body)
            if what.lose_answer:
                self.close_connection = True
                return
            if what.change_answer is not None:
                answer = what.change_answer(answer)
            self._answer(status, headers, answer, what.cut_answer_at)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _exchange  # noqa: N815

        def _pass_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _PASSED_ON}
            headers["Content-Length"] = str(len(body))
            headers["Host"] = f"127.0.0.1:{server_port}"
            connection = http.client.HTTPConnection("127.0.0.1", server_port, timeout=10)
            try:
                connection.request(self.command, self.path, body, headers)
                response = connection.getresponse()
                return response.status, dict(response.headers.items()), response.read()
            except (OSError, http.client.HTTPException):
                self.close_connection = True
                return 502, {}, b""
            finally:
                connection.close()

        def _answer(
            self, status: int, headers: dict[str, str], body: bytes, cut_at: int | None = None
        ) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in _PASSED_ON:
                    self.send_header(name, value)
            if self.command == "HEAD":
                length = headers.get("content-length", headers.get("Content-Length", "0"))
                self.send_header("Content-Length", length)
                body = b""
            else:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:cut_at])
            if cut_at is not None:
                self.close_connection = True

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: Any) -> None:
            """A client that hangs up is part of the tests."""

    with Server(("127.0.0.1", 0), Handler) as server:
        proxy = HttpProxy(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()

"""What every HTTP request must pass, and every response must carry."""

from collections.abc import Set as AbstractSet
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.loopback import is_loopback

_METHODS: Final = ("GET", "HEAD")

_RESPONSE_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Guard:
    """Wraps the application: refuses foreign host names and other methods, adds headers.

    It stands outside the framework so that error responses pass it as well.
    """

    def __init__(
        self, app: ASGIApp, bound_host: str, post_paths: AbstractSet[str] = frozenset()
    ) -> None:
        """Wrap.

        Args:
          app: the application behind the guard.
          bound_host: the address that is listened on. On a loopback address only loopback names
            are accepted as `Host`: a web page whose name was rebound to 127.0.0.1 in DNS carries
            its own name there and must not read what this machine says to itself.
          post_paths: where POST is answered, too; whoever answers decides who may.
        """
        self._app = app
        self._bound_host = bound_host
        self._post_paths = post_paths
        self._only_loopback = is_loopback(bound_host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _RESPONSE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        host = Headers(scope=scope).get("host", "")
        if self._only_loopback and host and not self._is_accepted(host):
            return JSONResponse(
                {"error": "this address answers only to its loopback name"}, status_code=421
            )
        takes_post = scope["path"] in self._post_paths
        if scope["method"] not in _METHODS and not (takes_post and scope["method"] == "POST"):
            return JSONResponse(
                {"error": "only GET and HEAD are answered here"},
                status_code=405,
                headers={"allow": ", ".join(_METHODS)},
            )
        return None

    def _is_accepted(self, host: str) -> bool:
        name = host_name(host)
        return name == self._bound_host.lower() or is_loopback(name)


def host_name(host: str) -> str:
    """Return a `Host` header's name or address, lower case, without port and brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]

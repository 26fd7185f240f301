"""The page's files, read once and compressed once."""

import gzip
import hashlib
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Final

import attrs
from starlette.requests import Request
from starlette.responses import Response

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # Text that comes from data cannot become markup: the ways to that are shut in the browser.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)


@attrs.frozen
class StaticFile:
    """A file as it is sent."""

    content: bytes
    compressed: bytes
    media_type: str
    etag: str


def load_static_files() -> Mapping[str, StaticFile]:
    """Read the page's files, by name."""
    folder = resources.files("engine.console") / "static"
    return MappingProxyType(
        {
            entry.name: _load(entry.read_bytes(), entry.name)
            for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
            if entry.name.rpartition(".")[2] in _TYPES
        }
    )


def _load(content: bytes, name: str) -> StaticFile:
    return StaticFile(
        content,
        gzip.compress(content, mtime=0),
        _TYPES[name.rpartition(".")[2]],
        f'"{hashlib.sha256(content).hexdigest()[:20]}"',
    )


def answer_file(request: Request, file: StaticFile) -> Response:
    """Return a file, or that the browser has it already."""
    headers = {
        "cache-control": "no-cache",
        "content-security-policy": _POLICY,
        "etag": file.etag,
        "vary": "accept-encoding",
    }
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    body = file.content
    if "gzip" in request.headers.get("accept-encoding", ""):
        body = file.compressed
        headers["content-encoding"] = "gzip"
    return Response(body, media_type=file.media_type, headers=headers)

"""The Console over HTTP: its page, its stream, its lookups and its actions."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import msgspec
import trio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from engine.console import lookups
from engine.console.access import Access, ForeignOriginError, UnauthenticatedError
from engine.console.actions import ACTIONS
from engine.console.console import Console
from engine.console.event_stream import EventStream
from engine.console.parts import ConsoleParts
from engine.console.recent import RecentAnswers
from engine.console.static_files import answer_file, load_static_files
from engine.console.workers import find_stack
from engine.errors import (
    AlreadyExistsError,
    DeadlineExceededError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    TrellisError,
    UnavailableError,
)

logger = logging.getLogger(__name__)

_MOST_BODY_BYTES: Final = 4096
_ANSWER_WITHIN_S: Final = 10.0
_KEEP_S: Final = 1.0
_AT_ONCE: Final = 2
_MOST_WAITING: Final = 512

_STATUS: Final[Sequence[tuple[type[Exception], HTTPStatus]]] = (
    (UnauthenticatedError, HTTPStatus.UNAUTHORIZED),
    (ForeignOriginError, HTTPStatus.FORBIDDEN),
    (InvalidArgumentError, HTTPStatus.BAD_REQUEST),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (AlreadyExistsError, HTTPStatus.CONFLICT),
    (FailedPreconditionError, HTTPStatus.CONFLICT),
    (ResourceExhaustedError, HTTPStatus.SERVICE_UNAVAILABLE),
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (DeadlineExceededError, HTTPStatus.GATEWAY_TIMEOUT),
    (trio.TooSlowError, HTTPStatus.GATEWAY_TIMEOUT),
)

_Handler = Callable[[Request], Awaitable[Response]]
_Lookup = Callable[[ConsoleParts, Request], Awaitable[Any]]


def build_routes(console: Console, access: Access, drift_threshold: float) -> list[BaseRoute]:
    """Return the routes of the Console.

    Args:
      drift_threshold: the score (PSI) from which a feature has drifted.
    """
    files = load_static_files()
    recent = RecentAnswers(keep_s=_KEEP_S, at_once=_AT_ONCE, most_waiting=_MOST_WAITING)

    def look_up(path: str, lookup: _Lookup) -> Route:
        async def answer(request: Request) -> Response:
            access.check_read(request.headers)
            parts = console.parts

            async def make() -> bytes:
                return msgspec.json.encode(await lookup(parts, request))

            key = f"{request.url.path}?{request.url.query}"
            with trio.fail_after(_ANSWER_WITHIN_S):
                return _json(await recent.get(key, console.revisions.snapshot, make))

        return Route(path, _refusing(answer))

    def act(name: str) -> Route:
        async def answer(request: Request) -> Response:
            access.check_act(request.headers)
            body = await _read_body(request)
            return _json(msgspec.json.encode(await ACTIONS[name](console.parts, body)))

        return Route(f"/api/actions/{name}", _refusing(answer), methods=["POST"])

    async def answer_page(request: Request) -> Response:
        return answer_file(request, files["index.html"])

    async def answer_static(request: Request) -> Response:
        file = files.get(request.path_params["name"])
        if file is None:
            raise NotFoundError("file", request.path_params["name"][:80])
        return answer_file(request, file)

    async def answer_stream(request: Request) -> Response:
        access.check_read(request.headers)
        return EventStream(console.hub)

    async def answer_pulse(request: Request) -> Response:
        access.check_read(request.headers)

        async def make() -> bytes:
            return msgspec.json.encode(await console.read_pulse())

        # One a moment, however many ask and whatever changes.
        return _json(await recent.get("pulse", lambda: None, make))

    async def answer_unlock(request: Request) -> Response:
        access.check_act(request.headers)
        return _json(b"{}")

    return [
        Route("/", answer_page),
        Route("/console/{name}", _refusing(answer_static)),
        Route("/api/stream", _refusing(answer_stream)),
        Route("/api/pulse", _refusing(answer_pulse)),
        Route("/api/unlock", _refusing(answer_unlock), methods=["POST"]),
        look_up("/api/replacements", lambda parts, _: lookups.find_replacements(parts)),
        look_up("/api/workers/{slot}/stack", _find_stack),
        look_up("/api/jobs", _find_jobs),
        look_up("/api/jobs/{job_id}", _find_job),
        look_up("/api/dead-letters", _find_dead_letters),
        look_up("/api/features", lambda _, __: console.find_features()),
        look_up("/api/models", lambda parts, _: lookups.find_models(parts)),
        look_up("/api/models/{name}", _find_model),
        look_up("/api/drift", partial(_find_drift, drift_threshold)),
        look_up("/api/drift/{report_id}", _find_drift_of_feature),
        look_up("/api/entity", _find_entity),
        *(act(name) for name in ACTIONS),
    ]


async def _find_stack(parts: ConsoleParts, request: Request) -> Any:
    return find_stack(parts.supervisor.list_workers(), request.path_params["slot"])


async def _find_jobs(parts: ConsoleParts, request: Request) -> Any:
    asked = request.query_params
    return await lookups.find_jobs(parts, asked.get("state", ""), asked.get("before", ""))


async def _find_job(parts: ConsoleParts, request: Request) -> Any:
    return await lookups.find_job(parts, request.path_params["job_id"])


async def _find_dead_letters(parts: ConsoleParts, request: Request) -> Any:
    return await lookups.find_dead_letters(parts, request.query_params.get("before", ""))


async def _find_model(parts: ConsoleParts, request: Request) -> Any:
    return await lookups.find_model(parts, request.path_params["name"])


async def _find_drift(threshold: float, parts: ConsoleParts, request: Request) -> Any:
    return await lookups.find_drift(parts, request.query_params.get("model", ""), threshold)


async def _find_drift_of_feature(parts: ConsoleParts, request: Request) -> Any:
    feature = request.query_params.get("feature", "")
    return await lookups.find_drift_of_feature(parts, request.path_params["report_id"], feature)


async def _find_entity(parts: ConsoleParts, request: Request) -> Any:
    asked = request.query_params
    return await lookups.find_entity(parts, asked.get("key", ""), asked.get("model", ""))


def _refusing(handle: _Handler) -> _Handler:
    """Wrap a handler: what is refused is told as JSON."""

    async def answer(request: Request) -> Response:
        try:
            return await handle(request)
        except (
            TrellisError,
            UnauthenticatedError,
            ForeignOriginError,
            trio.TooSlowError,
        ) as error:
            return _refuse(error)

    return answer


def _refuse(error: Exception) -> Response:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), None)
    if status is None:
        # What the data file or a program error says is for the log.
        logger.error("console request failed", exc_info=error)
        return JSONResponse({"error": "internal error; see the log"}, status_code=500)
    text = str(error) or "this took too long; ask again"
    headers = {"www-authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    return JSONResponse({"error": text}, status_code=status, headers=headers)


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


async def _read_body(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise InvalidArgumentError("content-type", "is not application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BODY_BYTES:
            raise InvalidArgumentError("body", f"is longer than {_MOST_BODY_BYTES} bytes")
    return bytes(body)

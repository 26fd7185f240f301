"""The endpoints: `/metrics`, `/healthz`, `/readyz`."""

from collections.abc import Sequence

import attrs
from prometheus_client import REGISTRY, CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from engine.health import HealthBoard
from engine.web.metrics_page import CONTENT_TYPE, write_metrics


def build_app(
    health: HealthBoard,
    *,
    extra_routes: Sequence[BaseRoute] = (),
    metrics: CollectorRegistry = REGISTRY,
) -> Starlette:
    """Build the application.

    Args:
      health: what `/readyz` tells.
      extra_routes: further routes of other parts.
      metrics: what `/metrics` tells.
    """

    async def answer_metrics(_request: Request) -> Response:
        return Response(await write_metrics(metrics), media_type=CONTENT_TYPE)

    async def answer_alive(_request: Request) -> Response:
        return JSONResponse({"alive": True})

    async def answer_ready(_request: Request) -> Response:
        parts = {name: attrs.asdict(state) for name, state in health.snapshot().items()}
        return JSONResponse(
            {"ready": health.ready, "parts": parts}, status_code=200 if health.ready else 503
        )

    return Starlette(
        routes=[
            Route("/metrics", answer_metrics),
            Route("/healthz", answer_alive),
            Route("/readyz", answer_ready),
            *extra_routes,
        ],
        exception_handlers={HTTPException: _answer_refusal, Exception: _answer_failure},
    )


async def _answer_refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(
        {"error": error.detail.lower()}, status_code=error.status_code, headers=error.headers
    )


async def _answer_failure(_request: Request, _error: Exception) -> Response:
    # The server logs the traceback; the client learns only that it was not its fault.
    return JSONResponse({"error": "internal error"}, status_code=500)

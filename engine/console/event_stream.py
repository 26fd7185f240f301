"""Server-sent events to one client, who may be slow or gone."""

from typing import Final

import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine.console.hub import Follower, Hub

_STALLED_S: Final = 30.0
"""A client that takes nothing for so long, say a laptop that sleeps, makes room for others."""


class EventStream(Response):
    """The frames of a hub as a response without an end."""

    media_type = "text/event-stream"

    def __init__(self, hub: Hub) -> None:
        """Answer with the present frame and those that follow."""
        super().__init__()
        self._hub = hub
        # The base class counts the bytes of a body, which this has not.
        del self.headers["content-length"]
        self.headers["cache-control"] = "no-store"
        self.headers["x-accel-buffering"] = "no"
        # Kept for another request, the connection would hold up the server's stop for its grace.
        self.headers["connection"] = "close"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the hub closes, the client leaves or takes nothing any more.

        Raises:
          ResourceExhaustedError: too many follow already; nothing was sent.
        """
        with self._hub.follow() as follower:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_when_gone, receive, nursery.cancel_scope)
                await _send_frames(follower, send)
                nursery.cancel_scope.cancel()


async def _send_frames(follower: Follower, send: Send) -> None:
    while (frame := await follower.receive()) is not None:
        with trio.move_on_after(_STALLED_S) as patience:
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        if patience.cancelled_caught:
            return
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _cancel_when_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()

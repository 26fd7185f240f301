"""What operators do to slots at the wrong moment: by the API, and by the Console."""

import json
import random
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import Final

import attrs
import trio

from tests.faults.api import Api
from tests.faults.registry import Fault, NothingToHitError, Target

_PATIENCE_S: Final = 90.0
_PAUSE_S: Final = 0.1
_CALL_S: Final = 5.0

Act = Callable[[Target, str, str], None]
"""Does something to a slot: target, `drain` or `resume`, slot."""


@attrs.frozen
class DrainSlot:
    """A slot is emptied for a while, whatever happens to it meanwhile."""

    name: str
    act: Act
    needs: frozenset[str] = frozenset()
    may_cause: frozenset[str] = frozenset()

    async def inject(self, target: Target, rng: random.Random) -> str:
        """Drain it, wait a while, and resume it."""
        slots = sorted(target.processes().workers)
        if not slots:
            raise NothingToHitError("there is no worker")
        slot, pause_s = rng.choice(slots), rng.uniform(0.0, 4.0)
        try:
            await trio.to_thread.run_sync(self.act, target, "drain", slot)
            await trio.sleep(pause_s)
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self.act, target, "resume", slot)
        return f"{slot} for {pause_s:.2f} s"


def _act_by_api(target: Target, action: str, slot: str) -> None:
    with Api(target) as api:
        api.drain(slot) if action == "drain" else api.resume(slot)


def _act_by_console(target: Target, action: str, slot: str) -> None:
    _insist(partial(_post, target, f"{action}-worker", {"slot": slot}))


def _post(target: Target, action: str, body: dict[str, str]) -> None:
    token = (target.data_dir / "console-token").read_text().strip()
    request = urllib.request.Request(
        f"http://{target.address('metrics')}/api/actions/{action}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=_CALL_S) as reply:
        reply.read()


def _insist(ask: Callable[[], None]) -> None:
    """Ask until an engine is there that says yes: the token is another for each.

    Raises:
      OSError: there was none for `_PATIENCE_S`.
    """
    give_up_at_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            ask()
        except OSError:
            if time.monotonic() > give_up_at_s:
                raise
        else:
            return
        time.sleep(_PAUSE_S)


FAULTS: tuple[Fault, ...] = (
    DrainSlot("drain_slot", _act_by_api),
    DrainSlot("drain_slot_by_console", _act_by_console),
)

"""A process that moves events of a data folder, and stands still at a moment to be killed there.

Usage: python -m tests.faults.retention_process FOLDER MOMENT. It prints a line when it has come to
MOMENT, one of MOMENTS, of its second step; at any other it works to the end.
"""

import sys
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from engine.retention.retention import Pace
from engine.store import Store
from tests.support.retention_world import RetentionWorld, all_events, open_world

DAYS: Final = 3
PACE: Final = Pace(step_rows=500, longest_rest_s=0.0)
_SECOND: Final = 2


@attrs.define
class _Stopping:
    """A part of the engine that stands still at the so-manieth call of a name."""

    part: Any
    name: str
    call: int
    after: bool = False
    _calls: int = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.part, name)
        if name != self.name:
            return found

        async def call_and_stop(*arguments: Any) -> Any:
            self._calls += 1
            stops = self._calls == self.call
            if stops and not self.after:
                await _stand_still()
            result = await found(*arguments)
            if stops:
                await _stand_still()
            return result

        return call_and_stop


async def _stand_still() -> None:
    sys.stdout.write("here\n")
    sys.stdout.flush()
    await trio.sleep_forever()


def _stop_blobs(world: RetentionWorld, name: str) -> RetentionWorld:
    return attrs.evolve(world, blobs=_Stopping(world.blobs, name, _SECOND))


def _stop_writer(world: RetentionWorld, submits: int, *, after: bool = False) -> RetentionWorld:
    # A step submits twice: the plan, and the end.
    writer: Any = _Stopping(world.store.writer, "submit", submits, after)
    return attrs.evolve(world, store=Store(writer, world.store.reader))


MOMENTS: Final = {
    "rows read": lambda world: _stop_writer(world, 2 * _SECOND - 1),
    "planned": lambda world: _stop_blobs(world, "put"),
    "stored": lambda world: _stop_blobs(world, "get_bytes"),
    "read again": lambda world: _stop_writer(world, 2 * _SECOND),
    "deleted": lambda world: _stop_writer(world, 2 * _SECOND, after=True),
}


async def _move(folder: Path, moment: str) -> None:
    async with open_world(folder) as world:
        table = all_events(DAYS)
        stopping = MOMENTS.get(moment, lambda unchanged: unchanged)(world)
        await stopping.retention(table, pace=PACE).move_due(table)


if __name__ == "__main__":
    trio.run(_move, Path(sys.argv[1]), sys.argv[2])

"""When parts of the engine did not work, and why: they are often back before anybody looks."""

from collections import deque
from collections.abc import Mapping
from typing import Final

import attrs
import msgspec

from engine.clock import Clock, read_clock_us
from engine.console.snapshot import Outage
from engine.health import HealthBoard, PartState

_MOST: Final = 8
COMING_OR_GOING: Final = frozenset(
    {"starting", "connecting", "reading history", "stopping", "stopped"}
)
"""What a part says of itself that does not work yet, or not any more, with nothing amiss."""


@attrs.define
class OutageLog:
    """The latest outages since the engine's start. Used from the Trio thread."""

    _clock: Clock = read_clock_us
    _over: deque[Outage] = attrs.field(factory=lambda: deque(maxlen=_MOST), init=False)
    _lasting: dict[str, Outage] = attrs.field(factory=dict, init=False)
    _worked: set[str] = attrs.field(factory=set, init=False)

    async def run(self, health: HealthBoard) -> None:
        """Note each change of the board until cancelled."""
        while True:
            changed = health.next_change()
            self.note(health.snapshot())
            await changed.wait()

    def note(self, parts: Mapping[str, PartState]) -> None:
        """Take what the parts say now. A part that has not worked yet is not out."""
        for name, state in parts.items():
            if state.ok:
                self._worked.add(name)
                if (outage := self._lasting.pop(name, None)) is not None:
                    self._over.append(msgspec.structs.replace(outage, until_us=self._clock()))
            elif name in self._worked and state.detail not in COMING_OR_GOING:
                # The first word tells the cause; later ones tell of repairs.
                self._lasting.setdefault(name, Outage(name, state.detail, self._clock(), None))

    def snapshot(self) -> tuple[Outage, ...]:
        """Return the outages, those that last first, then the latest."""
        return (*self._lasting.values(), *reversed(self._over))

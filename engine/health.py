"""What each part of the engine says of itself; `/readyz` and the console line read it."""

from collections.abc import Mapping
from types import MappingProxyType

import attrs
import trio


@attrs.frozen
class PartState:
    """One part's own word: is it working, and if not why. `required` parts decide readiness."""

    ok: bool
    detail: str
    required: bool


class HealthBoard:
    """The parts' states, written by each part and read by whoever asks.

    Used from the Trio thread only.
    """

    def __init__(self) -> None:
        self._parts: dict[str, PartState] = {}
        self._changed = trio.Event()

    def register(self, part: str, *, required: bool, detail: str = "starting") -> None:
        """Announce a part that is not working yet."""
        self._parts[part] = PartState(ok=False, detail=detail, required=required)
        self._announce_change()

    def set(self, part: str, *, ok: bool, detail: str) -> None:
        """Record the state of a registered part."""
        self._parts[part] = attrs.evolve(self._parts[part], ok=ok, detail=detail)
        self._announce_change()

    def snapshot(self) -> Mapping[str, PartState]:
        """Return the states by part, in the order the parts were registered."""
        return MappingProxyType(dict(self._parts))

    def next_change(self) -> trio.Event:
        """Return the event that is set when any part is next registered or set."""
        return self._changed

    @property
    def ready(self) -> bool:
        """True once at least one part is registered and every required part works."""
        return bool(self._parts) and all(p.ok for p in self._parts.values() if p.required)

    def _announce_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

"""Which slots somebody means, and whether there are enough without them. Pure."""

from collections.abc import Callable, Mapping, Sequence

from engine.errors import InvalidArgumentError, NotFoundError
from engine.workers.slot import Slot
from engine.workers.views import WorkerView

DrainGuard = Callable[[Sequence[WorkerView], Sequence[WorkerView]], None]
"""Given all slots, and those that a drain would leave, raises FailedPreconditionError, with what to
do, if too few are left."""


def choose_slots(slots: Mapping[str, Slot], slot: str | None, host: str | None) -> dict[str, Slot]:
    """Return the slot of a name, or all of a host, by name.

    Raises:
      InvalidArgumentError: not exactly one of the two is given.
      NotFoundError: there is none.
    """
    if (slot is None) == (host is None):
        raise InvalidArgumentError("slot", "give either a slot or a host")
    if slot is not None:
        if slot not in slots:
            raise NotFoundError("slot", slot, sorted(slots))
        return {slot: slots[slot]}
    chosen = {name: slots[name] for name in sorted(slots) if slots[name].host == host}
    if not chosen:
        raise NotFoundError("host", str(host), sorted({one.host for one in slots.values()}))
    return chosen

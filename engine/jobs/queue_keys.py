"""Names of the queue's keys in Redis."""

from collections.abc import Iterable

import attrs

_FIXED = (
    "meta",
    "live",
    "spec",
    "final",
    "expiry",
    "dead",
    "delayed",
    "leased",
    "held",
    "reserved",
    "counts",
)
"""In the order in which every script takes them; see `lua/prelude.lua`."""
_FORMAT = "1"
"""Changes with the records' format: a queue that another Trellis has left is built again."""


@attrs.frozen
class QueueKeys:
    """The keys of one queue. All share a hash tag, so that a cluster keeps them on one node."""

    tag: str
    """Text without braces, which tells this queue from others on the same server."""

    def name(self, key: str) -> str:
        return f"{{{self.tag}}}:{_FORMAT}:{key}"

    def ready(self, pool: str) -> str:
        return self.name(f"ready:{pool}")

    def of_call(self, pools: Iterable[str] = ()) -> list[str]:
        """Return the KEYS of a script call that may touch the given pools."""
        return [*map(self.name, _FIXED), *map(self.ready, pools)]

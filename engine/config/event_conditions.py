"""The kind of a feature's `where`: which events count."""

from typing import Any

import attrs

from engine.config.mismatch import MismatchError, shorten, show


@attrs.frozen
class Conditions:
    """Which events count: `{action: click}` or `{action: [click, cart]}`."""

    reads_text = False
    allowed = "action with one action or a list of different ones, 1 to 64 characters each"

    def parse(self, raw: Any) -> dict[str, tuple[str, ...]]:
        if not isinstance(raw, dict):
            raise MismatchError(show(raw), self.allowed)
        if set(raw) != {"action"}:
            keys = ", ".join(sorted(raw)) or "nothing"
            raise MismatchError(f"conditions on {shorten(keys)}", self.allowed)
        actions = raw["action"] if isinstance(raw["action"], list) else [raw["action"]]
        for action in actions:
            if not isinstance(action, str) or not 1 <= len(action) <= 64:
                raise MismatchError(show(action), self.allowed)
        if not actions or len(set(actions)) < len(actions):
            raise MismatchError("an empty list or an action twice", self.allowed)
        return {"action": tuple(actions)}

"""The semantics of features, written straight from docs/features.md without the engine's code.

Slow and plain on purpose: every value is worked out from the list of all events.
"""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import attrs

Answer = tuple[Any, str, int | None]
"""Value, status, event time."""

MISSING: Answer = (None, "MISSING", None)


@attrs.frozen
class Event:
    user_id: int
    action: str
    time: int
    value: float | None
    partition: int
    offset: int
    commit_seq: int = 0

    @property
    def place(self) -> tuple[int, int, int, int]:
        return (self.time, self.commit_seq, self.partition, self.offset)


@attrs.frozen
class Upload:
    entity_key: int
    dataset: str
    text: str | None
    time: int
    commit_seq: int = 0
    ordinal: int = 0


@attrs.frozen
class Aggregate:
    kind: str
    actions: tuple[str, ...] | None = None
    column: str | None = None
    window: int | None = None
    tile: int | None = None
    ttl: int | None = None

    def answer(self, events: Sequence[Event], user: int, t: int) -> Answer:
        known = [e for e in events if e.user_id == user and e.time <= t]
        if not known:
            return MISSING
        inside = [e for e in known if self.actions is None or e.action in self.actions]
        if self.window is not None and self.tile is not None:
            start = math.floor((t - self.window) / self.tile) * self.tile
            inside = [e for e in inside if e.time >= start]
        if self.column == "value":
            inside = [e for e in inside if e.value is not None]
        inside.sort(key=lambda e: e.place)
        items: list[Any] = [e.action if self.column == "action" else e.value for e in inside]
        newest = inside[-1].time if inside else None
        if self.kind == "count":
            return self._mark(len(inside), newest, t)
        if self.kind == "distinct_count":
            return self._mark(len(set(items)), newest, t)
        if self.kind == "sum":
            return self._mark(exact_sum(items), newest, t)
        if newest is None:
            return MISSING
        if self.kind == "first":
            return self._mark(positive_zero(items[0]), inside[0].time, t)
        value = {
            "mean": lambda: exact_sum(items) / len(items),
            "min": lambda: min(items),
            "max": lambda: max(items),
            "last": lambda: items[-1],
            "seconds_since": lambda: (t - newest) / 1e6,
        }[self.kind]()
        return self._mark(positive_zero(value), newest, t)

    def _mark(self, value: Any, time: int | None, t: int) -> Answer:
        return (value, status_at(time, t, self.ttl), time)


@attrs.frozen
class Latest:
    dataset: str
    column: str
    type: str
    ttl: int | None = None

    def answer(self, uploads: Sequence[Upload], user: int, t: int) -> Answer:
        rows = [
            u for u in uploads if u.entity_key == user and u.dataset == self.dataset and u.time <= t
        ]
        if not rows:
            return MISSING
        row = max(rows, key=lambda u: (u.time, u.commit_seq, u.ordinal))
        columns = json.loads(row.text) if row.text is not None else None
        value = columns.get(self.column) if isinstance(columns, dict) else None
        kinds = {"int64": (int,), "double": (int, float), "string": (str,), "bool": (bool,)}
        if type(value) not in kinds[self.type]:
            return MISSING
        if self.type == "double":
            value = float(value)
        return (positive_zero(value), status_at(row.time, t, self.ttl), row.time)


@attrs.frozen
class Formula:
    inputs: tuple[str, ...]
    compute: Callable[..., Any]

    def answer(self, answers: Sequence[Answer]) -> Answer:
        numbers = [float(v) if type(v) is int else v for v, _, _ in answers]
        try:
            value = self.compute(*numbers)
        except ZeroDivisionError:
            value = None
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return MISSING
        stale = any(status == "STALE" for _, status, _ in answers)
        times = [time for _, _, time in answers if time is not None]
        status = "STALE" if stale else "PRESENT"
        return (positive_zero(value), status, max(times, default=None))


Definition = Aggregate | Latest | Formula


def answer(
    definitions: dict[str, Definition],
    name: str,
    events: Sequence[Event],
    uploads: Sequence[Upload],
    user: int,
    t: int,
) -> Answer:
    definition = definitions[name]
    if isinstance(definition, Aggregate):
        return definition.answer(events, user, t)
    if isinstance(definition, Latest):
        return definition.answer(uploads, user, t)
    return definition.answer(
        [answer(definitions, other, events, uploads, user, t) for other in definition.inputs]
    )


def status_at(time: int | None, t: int, ttl: int | None) -> str:
    return "STALE" if time is not None and ttl is not None and t - time > ttl else "PRESENT"


def exact_sum(values: Sequence[float]) -> float:
    limit = 2**63 - 1
    total = 0
    for value in values:
        scaled = value * 1e6
        if math.isinf(scaled):
            total += limit if scaled > 0 else -limit
        else:
            total += max(-limit, min(limit, round(scaled)))
    if abs(total) <= limit:
        return float(total) / 1e6
    units = min(abs(total) // 1_000_000, limit)
    return float(units) * (1 if total > 0 else -1)


def positive_zero(value: Any) -> Any:
    return value + 0.0 if isinstance(value, float) else value

"""On which old events features without a window rest: those that must stay in the data file.

A feature with a window looks at no event before its window, so of its events none is needed once no
one may ask for the time any more. One without looks at all there ever were; yet of most aggregates
a few events tell the same as all. What stays is chosen so that the same queries over what is left
give the same bits, for every time at or after the bound.
"""

from collections.abc import Iterable
from typing import Any, Final

import attrs

from engine.features.aggregate_sql import Item
from engine.features.definitions import EventFeature
from engine.store.queries import load_queries

_QUERIES: Final = load_queries("engine.features")

_NEEDS: Final = {
    "count": "all",
    "sum": "all",
    "mean": "all",
    "first": "first",
    "last": "newest",
    "seconds_since": "newest",
    "min": "min",
    "max": "max",
    "distinct_count": "distinct",
}
"""What an aggregate over all time needs: every event that counts, or beside the newest of them (the
value's event time is that one's) the first, one with the least or greatest value, one of each."""

KeptRules = list[dict[str, Any]]
"""Rules as `archives.kept` holds them."""

_PLACE: Final = '(event_time, commit_seq, partition, "offset", topic)'
"""The order of an entity's events; the topic only makes the choice of equals definite."""


@attrs.frozen(order=True)
class Rule:
    """What stays of the events that features without a window look at, for each entity.

    Attributes:
      need: "all" of them, "first", "newest", "min", "max" or "distinct"; with each but the first
        the newest too.
      actions: those that count, in order; empty for all.
      column: "value" if only events that have one count, "action" for different
        actions, else empty.
    """

    need: str
    actions: tuple[str, ...]
    column: str

    @property
    def item_key(self) -> tuple[frozenset[str] | None, str | None]:
        """The actions and the column as a feature has them."""
        return frozenset(self.actions) if self.actions else None, self.column or None

    def includes(self, other: "Rule") -> bool:
        """Return whether what stays by this rule is enough for the other."""
        same_values = (self.column == "value") == (other.column == "value")
        if self.need == "all":
            # An event has an action always, and a value sometimes.
            counts = not self.actions or (other.actions and {*other.actions} <= {*self.actions})
            return bool(counts) and (self.column != "value" or same_values)
        newest = other.need == "newest" and self.actions == other.actions and same_values
        return self == other or newest


def find_rules(features: Iterable[EventFeature]) -> tuple[Rule, ...]:
    """Return what must stay for features, sorted, without what follows from the rest."""
    rules = {_rule_of(feature) for feature in features if feature.window_us is None}
    return tuple(
        sorted(
            rule
            for rule in rules
            if not any(other != rule and other.includes(rule) for other in rules)
        )
    )


def describe_rules(features: Iterable[EventFeature]) -> KeptRules:
    """Return what must stay for features, as `archives.kept` holds it: the same for the same."""
    return [
        {"need": rule.need, "actions": list(rule.actions), "column": rule.column}
        for rule in find_rules(features)
    ]


def is_covered(feature: EventFeature, kept: KeptRules) -> bool:
    """Return whether rules, as `describe_rules` gives them, have all stay that a feature needs."""
    if feature.window_us is not None:
        return True
    rule = _rule_of(feature)
    return any(
        Rule(one["need"], tuple(one["actions"]), one["column"]).includes(rule) for one in kept
    )


def rests_on_all(feature: EventFeature) -> bool:
    """Return whether every event that counts for a feature stays, and not a few of them."""
    return feature.window_us is None and _NEEDS[feature.aggregate] == "all"


def write_movable_events(features: Iterable[EventFeature]) -> str:
    """Write the query for events that no feature without a window rests on.

    It takes the parameters until_us, the event time before which events may be moved, and
    last_commit_seq, the last commit of which they may be. Moved in portions, at one bound or at
    ever later ones, they leave what is needed: what stays is chosen among what is there.

    Returns: a query of all columns of `events`.
    """
    rules = find_rules(features)
    keys = dict.fromkeys(rule.item_key for rule in rules)
    items = {key: Item(f"item{number}", *key) for number, key in enumerate(keys)}
    parts = _Parts()
    for rule in rules:
        parts.add(rule, items[rule.item_key])
    return _QUERIES["movable_events"].format(
        items="".join(f",\n        {item.sql} AS {item.name}" for item in items.values()),
        item_names="".join(f", {item.name}" for item in items.values()),
        ends="".join(f",\n        {end}" for end in parts.ends),
        at_ends="".join(f"\n        OR {condition}" for condition in parts.at_ends),
        witnesses=", ".join(parts.witnesses),
        others="".join(f"\n{other}" for other in parts.others),
        all_of="".join(f"\n        OR {name} IS NOT NULL" for name in parts.all_of),
    )


class _Parts:
    """The pieces of the query."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.at_ends: list[str] = []
        self.witnesses = [_choose("arg_min", "event_time = first_time")]
        self.others: list[str] = []
        self.all_of: list[str] = []
        self._items_with_newest: set[str] = set()

    def add(self, rule: Rule, item: Item) -> None:
        """Add what a rule has stay."""
        name = item.name
        if rule.need == "all":
            self.all_of.append(name)
            return
        if name not in self._items_with_newest:
            self._items_with_newest.add(name)
            self._add_end(name, "max", "arg_max")
        match rule.need:
            case "first":
                self._add_end(name, "min", "arg_min")
            case "min" | "max" as function:
                self.others.append(
                    _QUERIES["extreme_witnesses"].format(item=name, function=f"arg_{function}")
                )
            case "distinct":
                self.others.append(_QUERIES["distinct_witnesses"].format(item=name))

    def _add_end(self, item: str, function: str, choice: str) -> None:
        end = f"{item}_{function}"
        self.ends.append(f"{function}(event_time) FILTER (WHERE {item} IS NOT NULL) AS {end}")
        self.at_ends.append(f"event_time = {end}")
        self.witnesses.append(_choose(choice, f"{item} IS NOT NULL AND event_time = {end}"))


def _choose(function: str, condition: str) -> str:
    return f"{function}(row_id, {_PLACE}) FILTER (WHERE {condition})"


def _rule_of(feature: EventFeature) -> Rule:
    need = _NEEDS[feature.aggregate]
    # Whatever else looks at actions looks at every event that counts, as if at none.
    column = feature.column if feature.column == "value" or need == "distinct" else None
    return Rule(need, tuple(sorted(feature.actions or ())), column or "")

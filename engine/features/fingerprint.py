"""What the values of features follow from, in a few characters.

A model answers for the definitions it was trained on, and a name says nothing of those. What does
not touch a value does not count: a feature's name, its ttl, how its formula was written down.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from engine.features.definitions import EventFeature, Feature, UploadFeature
from engine.features.expression import Literal, Node, Reference

_DIGITS: Final = 16


def fingerprints_of(features: Mapping[str, Feature]) -> dict[str, str]:
    """Return, by name, 16 hexadecimal digits of the SHA-256 of each definition.

    Args:
      features: all that are defined, so that what a formula refers to is among them.
    """
    found: dict[str, str] = {}
    for name in features:
        _find(name, features, found)
    return found


def _find(name: str, features: Mapping[str, Feature], found: dict[str, str]) -> str:
    known = found.get(name)
    if known is None:
        described = _describe(features[name], features, found)
        text = json.dumps(described, separators=(",", ":"), ensure_ascii=False)
        known = found[name] = hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
    return known


def _describe(
    feature: Feature, features: Mapping[str, Feature], found: dict[str, str]
) -> list[Any]:
    if isinstance(feature, EventFeature):
        return [
            "events",
            feature.entity,
            feature.aggregate,
            None if feature.actions is None else sorted(feature.actions),
            feature.column,
            feature.window_us,
            feature.tile_us,
            feature.type,
        ]
    if isinstance(feature, UploadFeature):
        return ["upload", feature.entity, feature.dataset, feature.column, feature.type]

    def describe(node: Node) -> list[Any]:
        if isinstance(node, Literal):
            return [node.type, node.value]
        if isinstance(node, Reference):
            return ["feature", _find(node.name, features, found)]
        return [node.operator, *map(describe, node.operands)]

    return ["formula", feature.entity, describe(feature.node)]

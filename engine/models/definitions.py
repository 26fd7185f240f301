"""Models, their versions, and what may be registered. Pure."""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

import attrs

from engine.errors import InvalidArgumentError, NotFoundError

CHAMPION = "champion"
"""The alias that names the version served by default."""

FEATURES_MAX = 256
DESCRIPTION_CHARS_MAX = 1_000

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Source(StrEnum):
    """Where a version came from."""

    DECLARED = "declared"
    REGISTERED = "registered"


@attrs.frozen
class ModelVersion:
    """One version of a model: the features it needs, in the order of its input vector."""

    model: str
    version: int
    features: tuple[str, ...]
    source: Source
    created_at_us: int


def _frozen(aliases: Mapping[str, int]) -> Mapping[str, int]:
    return MappingProxyType(dict(aliases))


@attrs.frozen
class Model:
    """A model with all its versions, numbered from 1 without gaps, and its aliases."""

    name: str
    entity: str
    description: str
    created_at_us: int
    versions: tuple[ModelVersion, ...]
    aliases: Mapping[str, int] = attrs.field(factory=dict, converter=_frozen)

    @property
    def latest(self) -> ModelVersion:
        """The version with the highest number."""
        return self.versions[-1]

    @property
    def default(self) -> ModelVersion:
        """The version that the champion alias names, or without one the latest."""
        champion = self.aliases.get(CHAMPION)
        return self.latest if champion is None else self.versions[champion - 1]

    def find(self, version: int) -> ModelVersion:
        """Return a version by number.

        Raises:
          InvalidArgumentError: the number is below 1.
          NotFoundError: there is no such version; names the nearest.
        """
        if version < 1:
            raise InvalidArgumentError("version", f"{version} is not a version; they start at 1")
        if version > len(self.versions):
            latest = f"{self.name}/{self.latest.version}"
            raise NotFoundError("model version", f"{self.name}/{version}", [latest])
        return self.versions[version - 1]


def check_name(name: str) -> None:
    """Refuse what is no name of a model. Raises InvalidArgumentError."""
    if not _NAME.fullmatch(name):
        raise InvalidArgumentError(
            "model",
            f"{name[:80]!r} is not a name: a lower-case letter, then at most 63 lower-case "
            "letters, digits and underscores",
        )


def check_features(features: Sequence[str], entity: str, entity_of: Mapping[str, str]) -> None:
    """Refuse a feature list that no model of `entity` can have.

    Args:
      entity_of: the entity of each defined feature, by feature name.
    Raises:
      InvalidArgumentError: the list is empty, too long, repeats a name or mixes entities.
      NotFoundError: the entity or a feature is not defined; names close ones.
    """
    entities = sorted(set(entity_of.values()))
    if entity not in entities:
        raise NotFoundError("entity", entity, close_names(entity, entities))
    if not 1 <= len(features) <= FEATURES_MAX:
        raise InvalidArgumentError(
            "features", f"{len(features)} names; a model has 1 to {FEATURES_MAX}"
        )
    seen: set[str] = set()
    for feature in features:
        if feature in seen:
            raise InvalidArgumentError("features", f"{feature!r} occurs twice")
        seen.add(feature)
        if feature not in entity_of:
            raise NotFoundError("feature", feature, close_names(feature, entity_of))
        if entity_of[feature] != entity:
            raise InvalidArgumentError(
                "features",
                f"{feature!r} describes the entity {entity_of[feature]!r}, the model {entity!r}",
            )


def check_description(description: str) -> None:
    """Refuse a description that is too long. Raises InvalidArgumentError."""
    if len(description) > DESCRIPTION_CHARS_MAX:
        raise InvalidArgumentError(
            "description",
            f"{len(description)} characters; at most {DESCRIPTION_CHARS_MAX} are kept",
        )


def close_names(name: str, names: Collection[str]) -> list[str]:
    """Return up to three of `names` that `name` may have been meant to be, the closest first."""
    # The comparison takes time with the square of the length, and callers choose the name.
    return difflib.get_close_matches(name[:128], names, n=3, cutoff=0.6)

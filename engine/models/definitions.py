"""Models, their versions, and what may be registered. Pure."""

import difflib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType

import attrs

from engine.errors import InvalidArgumentError, NotFoundError

CHAMPION = "champion"
"""The alias that names the version served by default."""
CHALLENGER = "challenger"
"""The alias that names a version that waits, or is tried beside the champion."""
ALIASES = (CHAMPION, CHALLENGER)

DEFINITIONS = "definitions"
"""In a version's lineage: fingerprints of the features it was trained on, by name."""

FEATURES_MAX = 256
DESCRIPTION_CHARS_MAX = 1_000

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Source(StrEnum):
    """Where a version came from."""

    DECLARED = "declared"
    REGISTERED = "registered"
    TRAINED = "trained"


@attrs.frozen
class Measured:
    """A metric's value with its interval of 95 % confidence."""

    name: str
    value: float
    low: float
    high: float


@attrs.frozen
class Importance:
    """How much a feature matters: the loss of the metric when its values are shuffled."""

    feature: str
    importance: float
    spread: float


@attrs.frozen
class BlobRef:
    """Something in the blob store, and the hash it is verified by."""

    name: str
    sha256: str
    size_bytes: int


@attrs.frozen
class TrainedArtifact:
    """What came of a training. Times are microseconds UTC."""

    job_id: str
    cause: str
    drift_report_id: str | None
    estimator: str
    task: str
    pipeline: BlobRef
    reference: BlobRef
    trained_from_us: int
    trained_until_us: int
    training_commit_seq: int
    rows_fitted: int
    rows_tested: int
    metrics: tuple[Measured, ...]
    champion_metrics: tuple[Measured, ...] | None
    importance: tuple[Importance, ...]
    lineage_json: str

    @cached_property
    def definitions(self) -> Mapping[str, str]:
        """Fingerprints of the features it was trained on, by name; empty if they were not kept."""
        kept: Mapping[str, str] = json.loads(self.lineage_json).get(DEFINITIONS, {})
        return kept


@attrs.frozen
class ModelVersion:
    """One version of a model: the features it needs, in the order of its input vector.

    A trained one has an artifact, by which it predicts.
    """

    model: str
    version: int
    features: tuple[str, ...]
    source: Source
    created_at_us: int
    trained: TrainedArtifact | None = None


def _frozen(aliases: Mapping[str, int]) -> Mapping[str, int]:
    return MappingProxyType(dict(aliases))


@attrs.frozen
class Model:
    """A model with all its versions, by number, and its aliases.

    `champions` is the way to the present champion; see `engine.models.succession`.
    """

    name: str
    entity: str
    description: str
    created_at_us: int
    versions: tuple[ModelVersion, ...]
    aliases: Mapping[str, int] = attrs.field(factory=dict, converter=_frozen)
    champions: tuple[int, ...] = ()

    @property
    def latest(self) -> ModelVersion:
        """The version with the highest number."""
        return self.versions[-1]

    @property
    def declared(self) -> ModelVersion | None:
        """The latest version that a declaration made; None if there never was one."""
        declared = (one for one in reversed(self.versions) if one.source is Source.DECLARED)
        return next(declared, None)

    @property
    def champion(self) -> ModelVersion | None:
        """The version that the champion alias names; None without one."""
        champion = self.aliases.get(CHAMPION)
        return None if champion is None else self.find(champion)

    @property
    def champion_before(self) -> int | None:
        """The version that a rollback of the champion goes back to; None if there is none."""
        return self.champions[-2] if len(self.champions) > 1 else None

    @property
    def default(self) -> ModelVersion:
        """The version that the champion alias names, or without one the latest."""
        return self.champion or self.latest

    def find(self, version: int) -> ModelVersion:
        """Return a version by number.

        Raises:
          InvalidArgumentError: the number is below 1.
          NotFoundError: there is no such version; names the nearest.
        """
        if version < 1:
            raise InvalidArgumentError("version", f"{version} is not a version; they start at 1")
        # Nearly always without gaps, so the place of a number is known.
        for found in (*self.versions[version - 1 : version], *reversed(self.versions)):
            if found.version == version:
                return found
        latest = f"{self.name}/{self.latest.version}"
        raise NotFoundError("model version", f"{self.name}/{version}", [latest])


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

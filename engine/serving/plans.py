"""What it takes to predict with a version: its features, their types, what may be overridden."""

import difflib
import math
from collections.abc import Mapping
from typing import Final

import attrs
import pyarrow as pa
from prometheus_client import Counter

from engine import metrics
from engine.errors import FailedPreconditionError, InvalidArgumentError
from engine.features import FeatureRow, Status
from engine.features.values import Value
from engine.features.views import FeatureSet
from engine.models import CHAMPION, Model, ModelVersion
from engine.serving.rows import VersionKey, VersionRows

Overrides = Mapping[str, Value | None]

_ARROW: Final = {
    "int64": pa.int64(),
    "double": pa.float64(),
    "string": pa.string(),
    "bool": pa.bool_(),
}
_PYTHON: Final = {"int64": int, "double": float, "string": str, "bool": bool}
_LETTERS: Final = {Status.PRESENT: "P", Status.STALE: "S", Status.MISSING: "M"}
OVERRIDDEN: Final = "O"
_MOST_PLANS: Final = 1_024
_MOST_CHARS: Final = 4_096
"""Of a text that a caller sets: thousands of them wait at a time to be kept with predictions."""


@attrs.frozen(eq=False)
class Plan:
    """How to predict with a version."""

    version: ModelVersion
    rows: VersionRows
    types: tuple[str, ...]
    places: Mapping[str, int]
    predicted: Counter
    """Of predictions made."""

    def check_overrides(self, overrides: Overrides) -> None:
        """Refuse what is no value of a feature of the version. Raises InvalidArgumentError."""
        for name, value in overrides.items():
            place = self.places.get(name)
            if place is None:
                close = difflib.get_close_matches(name[:128], self.places)
                hint = f"; close to it: {', '.join(close)}" if close else ""
                raise InvalidArgumentError(
                    "overrides", f"{name[:80]!r} is no feature of {self.version.model!r}{hint}"
                )
            wanted = self.types[place]
            if value is not None and type(value) is not _PYTHON[wanted]:
                raise InvalidArgumentError(
                    "overrides", f"{name!r} is of type {wanted}; set {wanted}_value"
                )
            if isinstance(value, str) and len(value) > _MOST_CHARS:
                raise InvalidArgumentError(
                    "overrides", f"{name!r} has {len(value)} characters; at most {_MOST_CHARS}"
                )
            if isinstance(value, float) and not math.isfinite(value):
                raise InvalidArgumentError("overrides", f"{name!r}: {value} is not a finite number")

    def values_of(self, row: FeatureRow, overrides: Overrides) -> tuple[Value | None, ...]:
        """Return what the version is given."""
        if not overrides:
            return tuple([one.value for one in row.values])
        return tuple([overrides.get(one.name, one.value) for one in row.values])


def letters_of(row: FeatureRow, overrides: Overrides) -> str:
    """Return one letter a feature: P present, S stale, M missing, O overridden."""
    letters = _LETTERS
    if not overrides:
        return "".join([letters[one.status] for one in row.values])
    return "".join(
        [OVERRIDDEN if one.name in overrides else letters[one.status] for one in row.values]
    )


class Plans:
    """Plans of versions, made once each."""

    def __init__(self, features: FeatureSet) -> None:
        self._features = features
        self._plans: dict[VersionKey, Plan] = {}

    def get(self, version: ModelVersion) -> Plan:
        """Return the plan of a trained version.

        Raises:
          FailedPreconditionError: it was never trained, or a feature of it is not defined any more,
            or not as it was.
        """
        key = (version.model, version.version)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            plan = self._plans[key] = self._make(version)
        return plan

    def _make(self, version: ModelVersion) -> Plan:
        shown = f"version {version.version} of {version.model!r}"
        if version.trained is None:
            raise FailedPreconditionError(f"{shown} is a list of features; train it first")
        defined = self._features.features
        lost = self._features.find_undefined(version.features)
        if lost:
            raise FailedPreconditionError(
                f"{shown} needs features that features.yaml does not define any more: "
                f"{', '.join(lost)}; define them again, or train a new version without them"
            )
        redefined = self._features.find_redefined(version.trained.definitions)
        if redefined:
            raise FailedPreconditionError(
                f"{shown} was trained on features that features.yaml defines otherwise now: "
                f"{', '.join(redefined)}; define them as they were, or train a new version"
            )
        types = tuple(defined[name].type for name in version.features)
        schema = pa.schema(
            [(name, _ARROW[one]) for name, one in zip(version.features, types, strict=True)]
        )
        places = {name: place for place, name in enumerate(version.features)}
        return Plan(
            version,
            VersionRows((version.model, version.version), schema),
            types,
            places,
            metrics.PREDICTIONS.labels(version.model, version.version, "predicted"),
        )


def choose_version(model: Model, version: int | None) -> ModelVersion:
    """Return the trained version that is to predict: the one asked for, or the champion.

    Raises:
      InvalidArgumentError, NotFoundError: there is no such version.
      FailedPreconditionError: it was never trained, or there is no champion.
    """
    chosen = model.find(version) if version else model.default
    if chosen.trained is not None and (version or CHAMPION in model.aliases):
        return chosen
    trained = [one.version for one in model.versions if one.trained is not None]
    if version:
        raise FailedPreconditionError(
            f"version {version} of {model.name!r} is a list of features; train it first, or ask "
            "for a trained one"
        )
    if trained:
        raise FailedPreconditionError(
            f"{model.name!r} has no champion; point the alias to a trained version with SetAlias, "
            f"such as {trained[-1]}"
        )
    raise FailedPreconditionError(
        f"{model.name!r} was never trained; start a training with Retrain, or wait for the first"
    )

"""The feature set: every definition of `features.yaml`, and what must be kept to serve them."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from engine.errors import InvalidArgumentError, NotFoundError
from engine.features.definitions import EventFeature, Feature, UploadFeature
from engine.features.fingerprint import fingerprints_of
from engine.features.selection import Selection
from engine.features.series import Series

_KEPT_SELECTIONS = 256
"""Callers repeat a few lists of names, one a model; past this many the cache starts anew."""


class FeatureSet:
    """All features, compiled. Made by `compile_feature_set`; its definitions never change."""

    def __init__(self, features: Mapping[str, Feature]) -> None:
        self.features: Mapping[str, Feature] = MappingProxyType(dict(features))
        self.events: tuple[EventFeature, ...] = tuple(
            feature for feature in features.values() if isinstance(feature, EventFeature)
        )
        self.uploads: tuple[UploadFeature, ...] = tuple(
            feature for feature in features.values() if isinstance(feature, UploadFeature)
        )
        self.series: tuple[Series, ...] = tuple(
            dict.fromkeys(Series.of(feature) for feature in self.events)
        )
        self.fingerprints: Mapping[str, str] = MappingProxyType(fingerprints_of(features))
        """Of what the features' values follow from, by name."""
        self._selections: dict[tuple[str, ...], Selection] = {}

    def find_undefined(self, names: Iterable[str]) -> list[str]:
        """Return those of some names that are no feature's."""
        return [name for name in names if name not in self.features]

    def find_redefined(self, definitions: Mapping[str, str]) -> list[str]:
        """Return the defined features that are not what they were, by fingerprints of then."""
        return [
            name for name, then in definitions.items() if self.fingerprints.get(name, then) != then
        ]

    def select(self, names: Sequence[str]) -> Selection:
        """Return the choice of these features; the same object for the same names.

        Raises:
          NotFoundError: a name is not a feature's; the message lists close names.
          InvalidArgumentError: no names, a name twice, or features of different entities.
        """
        key = tuple(names)
        selection = self._selections.get(key)
        if selection is None:
            self._check(key)
            if len(self._selections) >= _KEPT_SELECTIONS:
                self._selections.clear()
            selection = self._selections[key] = Selection(key, self.features)
        return selection

    def _check(self, names: tuple[str, ...]) -> None:
        if not names:
            raise InvalidArgumentError("features", "none named")
        for name in names:
            if name not in self.features:
                close = difflib.get_close_matches(name, self.features)
                raise NotFoundError("feature", name, close)
        if len(set(names)) < len(names):
            twice = next(name for index, name in enumerate(names) if name in names[:index])
            raise InvalidArgumentError("features", f"{twice!r} is named twice")
        entities = {self.features[name].entity for name in names}
        if len(entities) > 1:
            raise InvalidArgumentError(
                "features", f"they belong to several entities: {', '.join(sorted(entities))}"
            )

"""What others need of the feature store."""

from collections.abc import Sequence
from typing import Protocol

from engine.features.values import FeatureRow


class FeatureReads(Protocol):
    """Answers with features; `FeatureStore` does."""

    async def get(
        self,
        entity_key: int,
        names: Sequence[str],
        as_of_us: int | None = None,
        commit_seq: int | None = None,
    ) -> FeatureRow:
        """Return features of one entity."""

    async def get_many(
        self, entity_keys: Sequence[int], names: Sequence[str], as_of_us: int | None = None
    ) -> list[FeatureRow]:
        """Return features of many entities, in the order of the keys, all at one moment."""

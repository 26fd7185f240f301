"""What a dataset's rows look like, as declared in `features.yaml`."""

from typing import Self

import attrs

from engine.config import UploadSpec


@attrs.frozen
class Dataset:
    """A declared dataset. The key is an integer of 64 bits, as every entity's is."""

    name: str
    entity_key: str
    time_column: str
    columns: tuple[tuple[str, str], ...]
    """Name and type (int64, double, string, bool) of the others, by name: the order in which the
    canonical text of a row has them."""

    @classmethod
    def of(cls, name: str, spec: UploadSpec) -> Self:
        """Return the dataset of that name."""
        return cls(name, spec.entity_key, spec.time_column, tuple(sorted(spec.columns.items())))

    @property
    def names(self) -> tuple[str, ...]:
        """All declared columns: key, time, then the others."""
        return (self.entity_key, self.time_column, *(name for name, _ in self.columns))

"""The columns a file says it has, held against those of the dataset."""

from collections import Counter
from collections.abc import Sequence

from engine.intake.rejection import show
from engine.tasks.parsing.dataset import Dataset
from engine.tasks.parsing.limits import MAX_UNDECLARED_COLUMNS
from engine.tasks.parsing.refusals import Refusal, RefusedFileError
from engine.tasks.parsing.unknown import UnknownColumns

_SHOWN_NAMES = 10


def check_names(names: Sequence[str], dataset: Dataset, unknown: UnknownColumns) -> None:
    """Note which of a file's columns are unknown.

    Raises:
      RefusedFileError: there are too many, the key or the time is not among them, or it cannot be
        told which one a declared column is.
    """
    declared = frozenset(dataset.names)
    undeclared = [name for name in names if name not in declared]
    if len(undeclared) > MAX_UNDECLARED_COLUMNS:
        raise RefusedFileError(
            Refusal.TOO_MANY_COLUMNS,
            f"the file has {len(undeclared)} columns that the dataset {dataset.name} does not "
            f"declare, allowed are {MAX_UNDECLARED_COLUMNS}",
        )
    for name in (dataset.entity_key, dataset.time_column):
        if name not in names:
            shown = ", ".join(show(found) for found in names[:_SHOWN_NAMES])
            more = ", ..." if len(names) > _SHOWN_NAMES else ""
            raise RefusedFileError(
                Refusal.MISSING_COLUMN,
                f"the dataset {dataset.name} needs a column {name}; the file has {shown}{more}",
            )
    for name, count in Counter(names).items():
        if count > 1 and name in declared:
            raise RefusedFileError(
                Refusal.DUPLICATE_COLUMN, f"the file has {count} columns named {name}"
            )
    unknown.add(undeclared)

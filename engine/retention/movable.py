"""Which rows of a table may be moved, and the queries that find them."""

import json
from collections.abc import Sequence
from typing import Any, Final

import attrs

from engine.store.queries import load_queries

KEYS: Final = "keys_to_move"
"""The relation that `MovableTable.write_rows_query` reads besides the table: `MovableTable.key`."""

_QUERIES: Final = load_queries("engine.retention")


@attrs.frozen
class MovableTable:
    """A table of the data file whose old rows are moved.

    Attributes:
      name: the table's.
      days: for how long its rows stay.
      time_column: the time of a row.
      taken_in_column: the time at which it came.
      key: columns that together tell rows apart: rows that agree in all of them move together.
        `commit_seq` is one, so that a row that was changed is no longer the one that was read.
      weight: SQL for the bytes of what in a row can be of any length.
      movable: a query of all rows, with all columns, that may be moved: those before `$until_us`,
        committed up to `$last_commit_seq`, except those that are needed where they are.
      kept_rules: what the latter are needed for, as can be written as JSON.
    """

    name: str
    days: int
    time_column: str
    taken_in_column: str
    key: tuple[str, ...]
    weight: str
    movable: str
    kept_rules: Sequence[Any] = ()

    @property
    def kept_json(self) -> str:
        """Return the rules as they are written down with an archive."""
        return json.dumps(list(self.kept_rules))

    def write_last_commit_query(self) -> str:
        """Query: the last commit whose rows, and those of all before, came before `$until_us`.

        Parameters: `until_us`. One row with one column, NULL if the table is empty.
        """
        return (
            "SELECT coalesce("  # noqa: S608 - names are constants of this module
            f"(SELECT min(commit_seq) - 1 FROM {self.name} "
            f"WHERE {self.taken_in_column} >= make_timestamp($until_us)), "
            f"(SELECT max(commit_seq) FROM {self.name}))"
        )

    def write_keys_query(self) -> str:
        """Query: the keys of the oldest rows that may be moved, and the bytes of each row.

        Parameters: `until_us`, `last_commit_seq`, `most_rows`.
        """
        return (
            f"SELECT {self._key_list()}, {self.weight} AS weight_bytes "  # noqa: S608 - as above
            f"FROM ({self.movable}) AS movable "
            f"ORDER BY {self.time_column}, {self._key_list()} LIMIT $most_rows"
        )

    def write_rows_query(self) -> str:
        """Query: the rows of the keys in the relation KEYS, in the order of their time.

        Rows that are gone, or were changed, are not among them.
        """
        return (
            f"SELECT * FROM {self.name} "  # noqa: S608 - as above
            f"WHERE ({self._key_list()}) IN (SELECT ({self._key_list()}) FROM {KEYS}) "
            f"ORDER BY {self.time_column}, {self._key_list()}"
        )

    def write_oldest_query(self) -> str:
        """Query: the time of the oldest row, in microseconds since 1970; NULL if there is none."""
        return f"SELECT epoch_us(min({self.time_column})) FROM {self.name}"  # noqa: S608 - as above

    def _key_list(self) -> str:
        return ", ".join(f'"{column}"' for column in self.key)


def events(days: int, movable: str, kept_rules: Sequence[Any]) -> MovableTable:
    """Return the table of events.

    Args:
      movable: as `MovableTable.movable`: which events a feature rests on is not known here.
    """
    return MovableTable(
        name="events",
        days=days,
        time_column="event_time",
        taken_in_column="ingest_time",
        key=("event_time", "commit_seq", "topic", "partition", "offset"),
        weight="coalesce(strlen(properties), 0)",
        movable=movable,
        kept_rules=kept_rules,
    )


def predictions(days: int) -> MovableTable:
    """Return the table of predictions."""
    return MovableTable(
        name="predictions",
        days=days,
        time_column="predicted_at",
        taken_in_column="predicted_at",
        key=("predicted_at", "commit_seq", "prediction_id"),
        weight="strlen(inputs) + strlen(prediction) + coalesce(strlen(probabilities), 0)",
        movable=_QUERIES["movable_predictions"],
    )


def dead_letters(days: int) -> MovableTable:
    """Return the table of refused messages."""
    return MovableTable(
        name="dead_letters",
        days=days,
        time_column="received_at",
        taken_in_column="received_at",
        key=("received_at", "commit_seq", "dead_letter_id"),
        weight="coalesce(octet_length(payload), 0) + strlen(detail)",
        movable=_QUERIES["movable_dead_letters"],
    )

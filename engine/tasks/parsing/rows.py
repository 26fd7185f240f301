"""One JSON object: from its bytes to a row of the dataset.

Each dataset gets a msgspec struct of its own, which decodes and checks a row in one pass, twenty
times faster than looking at each value in Python. Whatever the struct refuses is looked at again
carefully: it may yet be good (of a field given twice the last counts), and if not, the person who
sent it is told why. What the struct takes, the careful way would take as the same row.

A column nobody declared makes the struct refuse too, so that it cannot go unnoticed. It is learned
then, and the struct made anew to take it.
"""

from typing import Annotated, Any

import msgspec

from engine.intake.malformed import explain_malformed, is_too_deep, too_deep
from engine.intake.rejection import Reason as IntakeReason
from engine.intake.rejection import RejectedError, json_type, show
from engine.tasks.parsing.dataset import Dataset
from engine.tasks.parsing.limits import (
    MAX_NAMED_COLUMNS,
    MAX_STRING_CHARACTERS,
    MAX_UNDECLARED_COLUMNS,
)
from engine.tasks.parsing.refusals import Problem, Reason, show_bytes
from engine.tasks.parsing.unknown import UnknownColumns
from engine.tasks.parsing.values import INT64_MAX, INT64_MIN, READ_JSON, read_int64

_INT64 = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]
_TYPES: dict[str, Any] = {
    "int64": _INT64,
    "double": float,
    "string": Annotated[str, msgspec.Meta(max_length=MAX_STRING_CHARACTERS)],
    "bool": bool,
}
_TIME = str | int | float
_SCALAR = bool | int | float | str | None
"""Of columns nobody declared. Arrays and objects go the careful way, which bounds their depth."""

BLANK_BYTES = b" \t\r\n"

_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


class RowProblemError(Exception):
    """A row cannot be taken. Raised and caught within parsing: a bad row is data, no failure."""

    def __init__(self, column: str, problem: Problem) -> None:
        super().__init__(f"{column}: {problem.detail}")
        self.column = column
        self.problem = problem


class BlankRowError(Exception):
    """There is no row: nothing but blanks."""


class Row(msgspec.Struct):
    """What every dataset's row has; the declared columns follow as c0, c1, ... in its order.

    Fields that hold their default, None, are left out of the row's text: a null and an absent value
    are the same.
    """

    key: int | None
    time: str | int | float | None


class RowDecoder:
    """Reads rows of one dataset out of one file."""

    def __init__(self, dataset: Dataset, unknown: UnknownColumns) -> None:
        self._dataset = dataset
        self._row_type = define_row(dataset, ())
        self._unknown = unknown
        self._declared = frozenset(dataset.names)
        self._learned: dict[str, None] = {}
        self._decode = msgspec.json.Decoder(self._row_type).decode

    def decode(self, raw: bytes) -> Row:
        """Return the row of a JSON object.

        Args:
          raw: at most `MAX_ROW_BYTES`.
        Raises:
          RowProblemError: it is none, or one of its values is not of the declared type. Whether it
            has a key and a time is not looked at.
          BlankRowError: it is empty or blank.
        """
        try:
            return self._decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self.decode_carefully(raw)

    def decode_carefully(self, raw: bytes) -> Row:
        """Do what `decode` does, without its shortcut."""
        if not raw.strip(BLANK_BYTES):
            raise BlankRowError
        fields = _decode_any(raw)
        undeclared = [name for name in fields if name not in self._declared]
        if len(undeclared) > MAX_UNDECLARED_COLUMNS:
            detail = (
                f"the row has {len(undeclared)} columns that the dataset does not declare, "
                f"allowed are {MAX_UNDECLARED_COLUMNS}"
            )
            raise RowProblemError("", Problem(Reason.TOO_MANY_COLUMNS, detail, show_bytes(raw)))
        if is_too_deep(fields, raw):
            raise RowProblemError("", Problem(Reason.TOO_DEEP, too_deep().detail, show_bytes(raw)))
        self._learn(undeclared)

        key_name, time_name = self._dataset.entity_key, self._dataset.time_column
        key = fields.get(key_name)
        values = [None if key is None else _checked(key_name, read_int64(key))]
        time = fields.get(time_name)
        if time is not None and type(time) not in (str, int, float):
            detail = f"the time is {json_type(time)}; give a text or a number"
            raise RowProblemError(time_name, Problem(Reason.TIMESTAMP_TYPE, detail, show(time)))
        values.append(time)
        for name, type_ in self._dataset.columns:
            value = fields.get(name)
            values.append(None if value is None else _checked(name, READ_JSON[type_](value)))
        return self._row_type(*values)

    def _learn(self, names: list[str]) -> None:
        self._unknown.add(names)
        new = [name for name in names if name not in self._learned and _can_be_field(name)]
        new = new[: MAX_NAMED_COLUMNS - len(self._learned)]
        if new:
            self._learned.update(dict.fromkeys(new))
            self._row_type = define_row(self._dataset, tuple(self._learned))
            self._decode = msgspec.json.Decoder(self._row_type).decode


def define_row(dataset: Dataset, learned: tuple[str, ...]) -> type[Row]:
    """Return the struct of a dataset's rows, which takes the learned names too."""
    types = [_INT64, _TIME, *(_TYPES[type_] for _, type_ in dataset.columns)]
    fields = ["key", "time", *(f"c{number}" for number in range(len(dataset.columns)))]
    names = dict(zip(fields, dataset.names, strict=True))
    types += [_SCALAR] * len(learned)
    extra = [f"x{number}" for number in range(len(learned))]
    names.update(zip(extra, learned, strict=True))
    defined: Any = msgspec.defstruct(
        "UploadedRow",
        [(field, type_ | None, None) for field, type_ in zip(fields + extra, types, strict=True)],
        bases=(Row,),
        rename=names,
        omit_defaults=True,
        forbid_unknown_fields=True,
        gc=False,
    )
    return defined  # type: ignore[no-any-return]


def _can_be_field(name: str) -> bool:
    """Return whether a struct's field may be renamed to this."""
    return name.isprintable() and not any(character in name for character in '"\\')


def _checked(column: str, value: Any) -> Any:
    if isinstance(value, Problem):
        raise RowProblemError(column, value)
    return value


def _decode_any(raw: bytes) -> dict[str, Any]:
    try:
        return _decode_object(raw)
    except RecursionError:
        rejection = too_deep()
    except (msgspec.MsgspecError, UnicodeDecodeError):
        rejection = explain_malformed(raw)
    raise RowProblemError("", _describe(rejection, raw)) from None


def _describe(rejection: RejectedError, raw: bytes) -> Problem:
    detail = rejection.detail
    match rejection.reason:
        case IntakeReason.EMPTY:
            # White space that is none in JSON. An event without content is dropped as empty; here
            # only a blank line is no row.
            detail = "the row holds nothing but characters that JSON has no use for"
            return Problem(Reason.INVALID_JSON, detail, show_bytes(raw))
        case IntakeReason.NOT_AN_OBJECT:
            detail = "the row is JSON, but no object such as {...}"
        case IntakeReason.BYTE_ORDER_MARK:
            detail = "a byte order mark stands within the file"
    return Problem(Reason(rejection.reason.value), detail, show_bytes(raw))

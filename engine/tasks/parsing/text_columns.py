"""Columns of texts, as CSV has them: values of the declared types.

`values` says what each text means and has the last word. Columns without anything unusual are read
by Arrow, ten times faster; whatever it takes, it reads as `values` does.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from engine.tasks.parsing.columns import Column
from engine.tasks.parsing.limits import MAX_STRING_CHARACTERS
from engine.tasks.parsing.values import READ_TEXT

Texts = Sequence[str | None]

_PLAIN_NUMBERS: Mapping[str, tuple[str, pa.DataType]] = {
    "int64": (r"^-?[0-9]{1,18}$", pa.int64()),
    "double": (r"^-?[0-9]{1,300}(\.[0-9]{1,300})?$", pa.float64()),
}


def read_text_column(texts: Texts, type_: str) -> Column:
    """Return the values of a column of one of the declared types; None stands for no value."""
    if type_ == "string":
        return _read_strings(texts)
    numbers = _read_plain_numbers(texts, type_) if type_ in _PLAIN_NUMBERS else None
    return read_text_column_one_by_one(texts, type_) if numbers is None else numbers


def read_text_column_one_by_one(texts: Texts, type_: str) -> Column:
    """Do what `read_text_column` does, without its shortcuts."""
    # Each text once: most columns hold few.
    read_as = {text: None if text is None else READ_TEXT[type_](text) for text in set(texts)}
    return Column.of([read_as[text] for text in texts])


def _read_strings(texts: Texts) -> Column:
    if all(text is None or len(text) <= MAX_STRING_CHARACTERS for text in texts):
        joined = "".join(text for text in texts if text is not None)
        if "\x00" not in joined:
            return Column(texts)
    return read_text_column_one_by_one(texts, "string")


def _read_plain_numbers(texts: Texts, type_: str) -> Column | None:
    pattern, arrow_type = _PLAIN_NUMBERS[type_]
    try:
        array = pa.array(texts, pa.string())
    except UnicodeError:
        return None
    # Where all are null there is nothing to match, which is no failure.
    if pc.all(pc.match_substring_regex(array, pattern)).as_py() is False:
        return None
    numbers = array.cast(arrow_type)
    return Column(numbers.to_pylist() if numbers.null_count else numbers.to_numpy().tolist())

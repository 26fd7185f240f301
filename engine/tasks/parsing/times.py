"""The time column: from values as they came to microseconds since 1970 UTC, within bounds.

The rules are those of an event's `timestamp` (`engine.intake.timestamps`), whose code has the last
word. Columns in the usual forms are read by Arrow, ten times faster; whatever it takes, it reads as
that code does.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

import attrs
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from engine.intake.rejection import RejectedError, show
from engine.intake.timestamps import parse_timestamp
from engine.tasks.parsing.refusals import Problem, Reason

Microseconds = npt.NDArray[np.int64]

_CLOCK = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
_WITH_ZONE = _CLOCK + r"(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$"
_WITHOUT_ZONE = _CLOCK + r"$"

_MAX_FUTURE_US = 300_000_000
"""How far clocks may differ: the default of `kafka.max_future_s`."""

_EPOCH_TEXT = re.compile(r"-?[0-9]{9,14}(\.[0-9]{1,9})?")
"""A number in a format that has only texts. Eight digits are a date: 20250131."""

_FIRST_MILLISECONDS = 100_000_000_000
_FIRST_MICROSECONDS = _FIRST_MILLISECONDS * 1000
"""As in `engine.intake.timestamps`."""

_NO_TIME = Problem(Reason.TIMESTAMP_MISSING, "the row does not say from when on it holds")


@attrs.frozen
class TimeRules:
    """From when to when a row may hold. Both ends are allowed."""

    oldest_us: int
    newest_us: int

    @classmethod
    def at(cls, now_us: int) -> Self:
        """Return the rules for a file that was received at a time.

        They are those of events. A row ahead of the clock would be taken for the entity's latest
        and so send every read before its time past the online store.
        """
        return cls(oldest_us=0, newest_us=now_us + _MAX_FUTURE_US)


@attrs.frozen
class Times:
    """Times of some rows; 0 where there is a problem."""

    microseconds: Microseconds
    problems: Mapping[int, Problem]
    """By position."""

    def take(self, positions: Sequence[int]) -> Self:
        """Return the times at these positions alone."""
        problems = {
            new: self.problems[old] for new, old in enumerate(positions) if old in self.problems
        }
        return type(self)(self.microseconds[np.array(positions, np.intp)], problems)


def read_times(values: Sequence[Any], rules: TimeRules) -> Times:
    """Read times as a JSON decoder gives them: texts, numbers, None where there is none."""
    microseconds = _read_texts(values)
    if microseconds is None:
        microseconds = _read_integers(values)
    if microseconds is not None and _are_within(microseconds, rules):
        return Times(microseconds, {})
    return read_times_one_by_one(values, rules)


def read_times_one_by_one(values: Sequence[Any], rules: TimeRules) -> Times:
    """Do what `read_times` does, without its shortcuts."""
    microseconds = np.zeros(len(values), np.int64)
    problems: dict[int, Problem] = {}
    for position, value in enumerate(values):
        if value is None:
            problems[position] = _NO_TIME
            continue
        try:
            time_us = parse_timestamp(value)
        except RejectedError as error:
            problems[position] = Problem(Reason(error.reason.value), error.detail, show(value))
            continue
        problem = find_bound_problem(time_us, rules, show(value))
        if problem is None:
            microseconds[position] = time_us
        else:
            problems[position] = problem
    return Times(microseconds, problems)


def check_times(
    microseconds: Microseconds, missing: npt.NDArray[np.bool_], rules: TimeRules
) -> Times:
    """Return times that are read already, with those that are missing or out of bounds told."""
    outside = (microseconds < rules.oldest_us) | (microseconds > rules.newest_us)
    problems: dict[int, Problem] = {}
    for position in np.flatnonzero(missing | outside).tolist():
        time_us = int(microseconds[position])
        found = find_bound_problem(time_us, rules, str(np.datetime64(time_us, "us")))
        problem = _NO_TIME if missing[position] else found
        assert problem is not None
        problems[position] = problem
    return Times(np.where(missing | outside, 0, microseconds), problems)


def read_text_times(texts: Sequence[str | None], rules: TimeRules) -> Times:
    """Read times of a format that has texts only, where numbers are texts too."""
    microseconds = _read_texts(texts)
    if microseconds is not None and _are_within(microseconds, rules):
        return Times(microseconds, {})
    return read_times([text and _number_in_text(text.strip(" \t")) for text in texts], rules)


def find_bound_problem(time_us: int, rules: TimeRules, excerpt: str) -> Problem | None:
    """Return what is wrong with a time that lies outside the bounds."""
    if time_us < rules.oldest_us:
        years = (rules.oldest_us - time_us) / 1e6 / 86_400 / 365.25
        detail = f"the time is {years:.3g} years before the oldest that is allowed"
        return Problem(Reason.TIMESTAMP_TOO_OLD, detail, excerpt)
    if time_us > rules.newest_us:
        ahead_s = (time_us - rules.newest_us) / 1e6
        detail = f"the time is {ahead_s:.6g} s after the newest that is allowed"
        return Problem(Reason.TIMESTAMP_IN_FUTURE, detail, excerpt)
    return None


def _number_in_text(text: str) -> str | int | float:
    """Return the number if a text is one that counts seconds or milliseconds since 1970."""
    matched = _EPOCH_TEXT.fullmatch(text)
    if matched is None:
        return text
    return float(text) if matched[1] else int(text)


def _read_texts(values: Sequence[Any]) -> Microseconds | None:
    """Return the times if all are texts in the usual form, all with a zone or all without."""
    try:
        texts = pa.array(values, pa.string())
    except (pa.ArrowTypeError, pa.ArrowInvalid, UnicodeError):
        return None
    if texts.null_count or not len(texts):
        return None
    for pattern, zone in ((_WITH_ZONE, "UTC"), (_WITHOUT_ZONE, None)):
        if pc.all(pc.match_substring_regex(texts, pattern)).as_py():
            try:
                times = texts.cast(pa.timestamp("us", zone))
            except pa.ArrowInvalid:
                return None
            return times.cast(pa.int64()).to_numpy()  # type: ignore[no-any-return]
    return None


def _read_integers(values: Sequence[Any]) -> Microseconds | None:
    """Return the times if all are integers that count seconds or milliseconds."""
    if not all(type(value) is int for value in values):
        return None
    try:
        numbers = np.array(values, np.int64)
    except OverflowError:
        return None
    if np.any((numbers <= -_FIRST_MICROSECONDS) | (numbers >= _FIRST_MICROSECONDS)):
        return None
    return np.where(
        np.abs(numbers) < _FIRST_MILLISECONDS, numbers * 1_000_000, numbers * 1_000
    ).astype(np.int64)


def _are_within(microseconds: Microseconds, rules: TimeRules) -> bool:
    if not len(microseconds):
        return True
    return bool(microseconds.min() >= rules.oldest_us and microseconds.max() <= rules.newest_us)

"""Values made to cost: each is told from a good one in a bounded time, and in a few words."""

import time

import pytest

from engine.tasks.parsing import Format
from engine.tasks.parsing.limits import MIB
from engine.tasks.parsing.values import READ_TEXT, Problem
from tests.support.parsed_file import parse

LONG = MIB // 4
"""Digits. What takes time in their square takes minutes."""


@pytest.mark.parametrize(
    "text",
    ["1" * LONG + "x", "1" * LONG + ".", "." + "1" * LONG + "x", "1e" + "1" * LONG + "x"],
)
@pytest.mark.parametrize("type_", READ_TEXT)
def test_a_long_text_is_read_in_time_that_grows_with_its_length(type_: str, text: str) -> None:
    # So much of it that a law of squares shows, and so little that this ends in any case.
    begun_s = time.process_time()
    READ_TEXT[type_](text[-30_000:])
    assert time.process_time() - begun_s < 1
    read = READ_TEXT[type_](text)
    assert isinstance(read, Problem | float)


@pytest.mark.parametrize(
    "time_text",
    [
        "2025-W60-1T00:00:00." + "9" * LONG,
        "2025-13-01T00:00:00." + "9" * LONG,
        "2025-01-01T24:00:00." + "0" * LONG + "1",
        "2025-01-01T00:00:00." + "9" * LONG + "+23:59:60",
        "2025-01-01T00." + "9" * LONG,
        "9" * LONG,
    ],
)
def test_why_a_long_time_is_rejected_is_told_in_few_words(time_text: str) -> None:
    lines = [f'{{"user_id": 1, "updated_at": "{time_text}"}}\n', f'"1","{time_text}"\n']
    for content, format_ in (
        (lines[0], Format.NDJSON),
        ("user_id,updated_at\n" + lines[1], Format.CSV),
    ):
        [reject] = parse(content.encode(), format_).rejects
        assert (reject.column, str(reject.reason)) == ("updated_at", "timestamp_format")
        assert len(reject.detail) < 300
        assert len(reject.excerpt) < 100

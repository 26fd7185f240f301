import itertools
import logging

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from engine.backends.output import LineSplitter, OutputLog, TokenBucket


def split(pieces, line_bytes=100):
    splitter = LineSplitter(line_bytes)
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    return lines + splitter.finish()


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=6))
def test_lines_do_not_depend_on_how_the_bytes_were_cut(data, cuts):
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    assert split(pieces, 20) == split([data], 20)


def test_a_line_is_bounded_and_says_how_much_is_missing():
    assert split([b"x" * 60, b"y" * 60, b"\nnext\n"]) == [
        "x" * 60 + "y" * 40 + " ... (20 bytes cut)",
        "next",
    ]


def test_colours_blank_lines_and_broken_text_are_made_readable():
    data = b"\x1b[31mERROR\x1b[0m bad\r\n\n  \nhalf\xff line"
    assert split([data]) == ["ERROR bad", "half\\xff line"]


def test_token_bucket_allows_a_burst_then_the_rate():
    bucket = TokenBucket(rate=10, burst=3)
    assert [bucket.try_take(1, now=5.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.try_take(1, now=5.15)
    assert not bucket.try_take(1, now=5.15)


def test_token_bucket_tells_how_long_a_debt_lasts():
    bucket = TokenBucket(rate=10, burst=10)
    assert bucket.take(10, now=0.0) == 0
    assert bucket.take(5, now=0.0) == pytest.approx(0.5)
    assert bucket.take(0, now=0.5) == pytest.approx(0)


class Pieces(trio.abc.ReceiveStream):
    """A stream of prepared pieces."""

    def __init__(self, pieces):
        self._pieces = iter(pieces)

    async def receive_some(self, max_bytes=None):
        await trio.lowlevel.checkpoint()
        return next(self._pieces, b"")

    async def aclose(self):
        await trio.lowlevel.checkpoint()


def level_of(line):
    return logging.WARNING if "bad" in line else logging.INFO


async def test_lines_are_logged_with_their_level_and_origin(caplog, autojump_clock):
    caplog.set_level(logging.DEBUG)
    await OutputLog("redis", level_of).follow(Pieces([b"fine\nbad thing\nlast"]), pid=7)
    facts = [(r.levelname, r.child, r.pid, r.line) for r in caplog.records]
    assert facts == [
        ("INFO", "redis", 7, "fine"),
        ("WARNING", "redis", 7, "bad thing"),
        ("INFO", "redis", 7, "last"),
    ]


async def test_too_many_lines_are_counted_not_logged(caplog, autojump_clock):
    caplog.set_level(logging.DEBUG)
    await OutputLog("redis", level_of).follow(Pieces([b"line\n" * 5_000]), pid=7)
    written = [r for r in caplog.records if r.message == "child output"]
    dropped = [r.lines for r in caplog.records if r.message == "child output dropped"]
    assert len(written) == 200
    assert dropped == [4_800]


async def test_a_flood_is_read_at_a_bounded_pace(autojump_clock):
    started = trio.current_time()
    await OutputLog("redis", level_of).follow(Pieces([b"x" * 65_536] * 320), pid=7)
    # 20 MiB, of which 4 are the burst, at 1 MiB/s.
    assert trio.current_time() - started == pytest.approx(16, abs=0.1)


async def test_last_words_are_the_last_complaint_and_are_given_once():
    output = OutputLog("redis", level_of)
    await output.follow(Pieces([b"bad start\nbad end\nbye\n"]), pid=7)
    assert output.take_last_words(complaint=True) == "bad end"
    assert output.take_last_words(complaint=False) is None


async def test_without_a_complaint_the_last_line_has_to_do():
    output = OutputLog("redis", level_of)
    await output.follow(Pieces([b"one\ntwo\n"]), pid=7)
    assert output.take_last_words(complaint=False) == "two"


async def test_an_ordinary_line_is_no_complaint():
    output = OutputLog("redis", level_of)
    await output.follow(Pieces([b"one\ntwo\n"]), pid=7)
    assert output.take_last_words(complaint=True) is None

"""Texts that workers send are kept within bounds, both ends of them."""

from hypothesis import given
from hypothesis import strategies as st

from engine.jobs.excerpts import MOST_MESSAGE_CHARACTERS, cut_message


def test_short_text_is_kept_as_it_is():
    assert cut_message("a" * MOST_MESSAGE_CHARACTERS) == "a" * MOST_MESSAGE_CHARACTERS


@given(st.integers(MOST_MESSAGE_CHARACTERS + 1, 10**6))
def test_long_text_keeps_both_ends_and_says_how_much_it_lacks(characters):
    text = "<" + "x" * (characters - 2) + ">"
    cut = cut_message(text)
    kept = cut.count("x") + 2
    assert len(cut) <= MOST_MESSAGE_CHARACTERS
    assert (cut[0], cut[-1]) == ("<", ">")
    assert f"{characters - kept} characters are left out" in cut
    assert cut_message(cut) == cut

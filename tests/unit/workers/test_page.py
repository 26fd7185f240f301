from hypothesis import given
from hypothesis import strategies as st

from engine.workers.page import (
    PAGE_BYTES,
    PageReader,
    PageView,
    PageWriter,
    Phase,
    decode_view,
    encode_view,
    token_mark,
)

words = st.integers(0, 2**64 - 1)


marks = st.none() | st.integers(1, 2**64 - 1)


@given(st.sampled_from(Phase), words, marks, words, marks)
def test_view_survives_the_page(phase, begun, running, progress, latest):
    view = PageView(phase, begun, running, progress, latest)
    assert decode_view(encode_view(view)) == view


@given(st.binary(min_size=PAGE_BYTES, max_size=PAGE_BYTES))
def test_scribbled_page_is_still_readable(page):
    assert isinstance(decode_view(page), PageView)


@given(st.text(), st.text())
def test_tokens_are_told_apart(one, other):
    assert (token_mark(one) == token_mark(other)) is (one == other)
    assert token_mark(one) != 0


def test_reader_sees_what_the_writer_says():
    reader = PageReader()
    assert reader.read() == PageView(Phase.STARTING, 0, None, 0)
    writer = PageWriter(reader.fd)
    writer.begin("token")
    writer.set_progress(7)
    mark = token_mark("token")
    assert reader.read() == PageView(Phase.RUNNING, 1, mark, 7, mark)
    writer.end()
    assert reader.read() == PageView(Phase.DELIVERING, 1, None, 7, mark)
    writer.set_phase(Phase.LEAVING)
    assert reader.close() == PageView(Phase.LEAVING, 1, None, 7, mark)

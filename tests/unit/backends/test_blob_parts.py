"""The pure parts of the blob store: blocks, footers, delays, the cache's bound, shared disposal."""

import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.backends.blobs.blocks import BlockCutter
from engine.backends.blobs.borrowed import Borrowed, GivenUpError
from engine.backends.blobs.cache_index import CacheEntry, CacheIndex
from engine.backends.blobs.footer import FOOTER_BYTES, Footer, FooterError, decode_footer
from engine.backends.blobs.retrying import LONGEST_DELAY_S, compute_retry_delay_s
from engine.errors import ResourceExhaustedError


@given(st.lists(st.binary(max_size=20)), st.integers(1, 12))
def test_blocks_are_the_chunks_in_pieces_of_one_size(chunks, block_bytes):
    cutter = BlockCutter(block_bytes)
    blocks = [block for chunk in chunks for block in cutter.add(chunk)]
    rest = cutter.finish()
    assert b"".join(blocks) + rest == b"".join(chunks)
    assert {len(block) for block in blocks} <= {block_bytes}
    assert len(rest) < block_bytes


FOOTER = Footer("ab" * 32, 7, "0f" * 16)


def test_a_footer_is_read_as_written():
    encoded = FOOTER.encode()
    assert len(encoded) == FOOTER_BYTES
    assert decode_footer(encoded, 7 + FOOTER_BYTES) == FOOTER


@pytest.mark.parametrize("file_bytes", [6 + FOOTER_BYTES, 8 + FOOTER_BYTES])
def test_a_file_of_another_size_than_its_footer_says_is_refused(file_bytes):
    with pytest.raises(FooterError, match="bytes of content, not 7"):
        decode_footer(FOOTER.encode(), file_bytes)


@given(st.integers(0, FOOTER_BYTES - 1), st.integers(1, 255))
def test_a_damaged_footer_never_passes_for_another_size(position, flip):
    damaged = bytearray(FOOTER.encode())
    damaged[position] ^= flip
    try:
        footer = decode_footer(bytes(damaged), 7 + FOOTER_BYTES)
    except FooterError:
        return
    # Only digest and tag can read as others; the content then does not fit the digest.
    assert footer.size_bytes == 7
    assert footer != FOOTER


@given(
    st.integers(1, 1000),
    st.none() | st.floats(0, 3600),
    st.floats(-1, 3600),
    st.randoms(use_true_random=False),
)
def test_a_repetition_comes_in_time_and_not_before_it_is_welcome(failures, asked_s, left_s, rng):
    delay_s = compute_retry_delay_s(failures, asked_s, left_s, rng)
    if delay_s is None:
        assert left_s <= max(LONGEST_DELAY_S, asked_s or 0)
    else:
        assert 0 < delay_s < left_s
        assert delay_s >= (asked_s or 0)
        assert delay_s <= max(LONGEST_DELAY_S, asked_s or 0)


def test_repetitions_come_ever_later():
    delays = [compute_retry_delay_s(n, None, 100.0, random.Random(1)) for n in range(1, 8)]
    assert delays == sorted(delays)


def entry(name, size_bytes):
    return CacheEntry(name, f"{name}-file", size_bytes)


def test_the_least_recently_used_goes_first():
    index = CacheIndex(10)
    for name in "abc":
        index.reserve(3)
        index.add(entry(name, 3))
        index.release(3)
    index.get("a")
    assert [victim.sha256 for victim in index.reserve(4)] == ["b"]
    assert index.get("b") is None
    assert index.get("a")


def test_what_is_read_stays_and_room_that_cannot_be_made_is_refused():
    index = CacheIndex(10)
    for name in "ab":
        index.add(entry(name, 5))
    index.get("a").pins = 1
    with pytest.raises(ResourceExhaustedError, match="full of artifacts in use"):
        index.reserve(6)
    assert index.held_bytes == 10
    assert [victim.sha256 for victim in index.reserve(5)] == ["b"]


def test_what_is_larger_than_the_cache_is_refused():
    with pytest.raises(ResourceExhaustedError, match=r"11 bytes does not fit into a cache of 10"):
        CacheIndex(10).reserve(11)


def test_an_entry_that_was_replaced_is_not_dropped_for_the_old_one():
    index = CacheIndex(10)
    old, new = entry("a", 1), CacheEntry("a", "other", 1)
    index.add(old)
    assert index.add(new) is old
    assert not index.drop(old)
    assert index.get("a") is new
    assert index.drop(new)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 12), st.booleans())))
def test_entries_and_promises_never_exceed_the_bound(steps):
    index = CacheIndex(10)
    for name, size_bytes, pin in steps:
        try:
            index.reserve(size_bytes)
        except ResourceExhaustedError:
            continue
        index.release(size_bytes)
        index.add(entry(name, size_bytes))
        if pin:
            index.get(name).pins += 1
        assert index.held_bytes <= 10


def test_a_smaller_bound_lets_the_oldest_go():
    index = CacheIndex(10)
    for name in "abc":
        index.add(entry(name, 5))
    assert [victim.sha256 for victim in index.shrink()] == ["a"]
    assert index.held_bytes == 10


def test_what_is_not_in_use_is_disposed_of_at_once_and_once():
    disposed = []
    borrowed = Borrowed(lambda: disposed.append(1))
    borrowed.give_up()
    borrowed.give_up()
    assert disposed == [1]
    with pytest.raises(GivenUpError), borrowed.use():
        pytest.fail("used")
    assert disposed == [1]


def test_what_is_in_use_is_disposed_of_by_its_user():
    disposed = []
    borrowed = Borrowed(lambda: disposed.append(threading.get_ident()))
    using, given_up = threading.Event(), threading.Event()

    def use():
        with borrowed.use():
            using.set()
            assert given_up.wait(10)
            assert not disposed

    thread = threading.Thread(target=use)
    thread.start()
    assert using.wait(10)
    borrowed.give_up()
    assert not disposed
    given_up.set()
    user = thread.ident
    thread.join()
    assert disposed == [user]

import os
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from engine.workers.marks import Mark, decode_mark, mark_of, new_mark

RLIM_INFINITY = 2**64 - 1

marks = st.builds(Mark, st.integers(0, 2**40 - 1), st.integers(0, 2**22 - 1))


@given(marks)
def test_mark_survives_the_limit(mark):
    assert decode_mark(mark.limit) == mark
    assert mark.limit < 2**63


@given(st.integers(0, 2**62 - 1) | st.integers(2**63, RLIM_INFINITY))
def test_ordinary_limit_is_no_mark(limit):
    assert decode_mark(limit) is None


def test_process_without_a_mark_has_none():
    assert mark_of(os.getpid()) is None
    assert mark_of(2**22 + 1) is None


def test_environment_carries_the_mark_too(tmp_path):
    mark = new_mark(tmp_path)
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
        env=mark.variable,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        child.stdout.readline()  # it runs, and not only the fork of this process
        assert mark_of(child.pid) == mark

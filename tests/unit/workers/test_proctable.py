import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.workers import proctable
from engine.workers.proctable import children_of, descendants_of, parse_stat, read_stat

TAIL = b" S 17 1 1 0 -1 4194560 5 0 0 0 0 0 0 0 20 0 1 0 987 4096 3 18446744073709551615 0\n"


@given(st.binary(max_size=15))
def test_any_name_of_a_command_is_parsed(name):
    stat = parse_stat(b"42 (" + name + b")" + TAIL)
    assert (stat.pid, stat.state, stat.parent, stat.start_ticks) == (42, "S", 17, 987)
    assert stat.rss_bytes == 3 * os.sysconf("SC_PAGE_SIZE")


def test_process_that_is_not_there_has_no_stat():
    assert read_stat(2**22 + 1) is None
    assert children_of(2**22 + 1) == []


@pytest.mark.parametrize("listed", [True, False])
def test_descendants_are_found_on_any_kernel(monkeypatch, listed):
    monkeypatch.setattr(proctable, "_KERNEL_LISTS_CHILDREN", listed)
    script = "sleep 60 & echo $!; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as shell:
        grandchild = int(shell.stdout.readline())
        assert shell.pid in children_of(os.getpid())
        found = descendants_of(os.getpid())
        assert found.index(shell.pid) < found.index(grandchild)
        os.kill(grandchild, 9)

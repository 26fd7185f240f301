"""What a process does with memory that it has freed."""

import subprocess
import sys

import pytest

_TAKE_AND_FREE = """
from pathlib import Path
from engine.allocator import give_memory_back

def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

before = resident_bytes()
blocks = [bytes(range(1, 251)) * 200 for _ in range(2_000)]
last = bytes(range(1, 251)) * 200  # at the end of the heap, which could shrink without it
assert resident_bytes() - before > 80_000_000
blocks.clear()
kept = resident_bytes() - before
give_memory_back()
print(kept, resident_bytes() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere malloc is not glibc's")
def test_free_memory_is_given_back_also_where_something_lies_behind_it() -> None:
    # In a process of its own, whose heap nobody else has used.
    ran = subprocess.run(
        [sys.executable, "-c", _TAKE_AND_FREE], capture_output=True, text=True, check=True
    )
    kept, left = map(int, ran.stdout.split())
    assert kept > 80_000_000
    assert left < 20_000_000

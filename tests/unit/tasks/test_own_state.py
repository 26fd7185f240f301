import subprocess
import sys

# In processes of their own: this one may have children, which are a reason to recycle.
LEFT = """
import os, pathlib, sys
from engine.tasks.own_state import OwnState

own_state = OwnState(pathlib.Path(sys.argv[1]), [2])
assert own_state.reason_to_recycle(None) is None
if (child := os.fork()) == 0:
    os._exit(0)
assert own_state.reason_to_recycle(None) == "a job has left processes behind"
os.waitpid(child, 0)
assert own_state.reason_to_recycle(None) is None
"""

PROGRAM = """
import pathlib, resource, sys
from engine.tasks.own_state import OwnState

own_state = OwnState(pathlib.Path(sys.argv[1]), [2])
assert own_state.memory_bytes() > 1 << 20
before = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
assert own_state.memory_bytes() is None
assert own_state.reason_to_recycle(1) is None
resource.setrlimit(resource.RLIMIT_NOFILE, before)
assert "MiB of memory in use" in own_state.reason_to_recycle(1)
"""


def test_memory_is_not_known_where_no_descriptor_is_left_to_look(tmp_path):
    subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], check=True)


def test_a_child_that_is_left_is_a_reason_to_recycle_until_it_is_reaped(tmp_path):
    subprocess.run([sys.executable, "-c", LEFT, str(tmp_path)], check=True)

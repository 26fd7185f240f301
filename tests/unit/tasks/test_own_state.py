import subprocess
import sys

# In a process of its own: this one may have children, which are a reason to recycle.
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

"""Prometheus and promtool as `ops/test.sh` provides them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.engine_process import ROOT

_FOLDER = ROOT / ".tools/prometheus"


def find_prometheus(program: str) -> str:
    """Return the path of `prometheus` or `promtool`; skip the test if they were left out.

    Raises:
      FileNotFoundError: there is none, and nobody has said that there need not be.
    """
    if (_FOLDER / program).exists():
        return str(_FOLDER / program)
    found = shutil.which(program)
    if found is not None:
        return found
    if os.environ.get("WITHOUT_PROMETHEUS"):
        pytest.skip("WITHOUT_PROMETHEUS is set")
    raise FileNotFoundError(f"{program}: bash ops/test.sh gets it; WITHOUT_PROMETHEUS=1 skips this")


def run_promtool(*arguments: str | Path) -> str:
    """Run promtool on files of the project and return what it says.

    Raises:
      AssertionError: it found something wrong; the message is what it said.
    """
    done = subprocess.run(
        [find_prometheus("promtool"), *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

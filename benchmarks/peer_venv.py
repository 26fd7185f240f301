"""Interpreters that have what Trellis is measured against, made when they are first needed."""

import subprocess
import sys
from pathlib import Path

from tests.support.engine_process import ROOT

_HERE = Path(__file__).parent


def find_python(peers: str, chosen: str | None) -> str:
    """Return an interpreter with some peers.

    Args:
      peers: their name: `requirements-NAME.txt` is installed into `.venv-NAME`.
      chosen: an interpreter that has them already.
    """
    if chosen is not None:
        return chosen
    folder = ROOT / f".venv-{peers}"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    requirements = str(_HERE / f"requirements-{peers}.txt")
    install = [str(python), "-m", "pip", "install", "--quiet", "-r", requirements]
    subprocess.run(install, check=True)
    return str(python)

"""The job `detect_drift` on files, in a process of its own.

`python -m benchmarks.drift_job FOLDER RUNS` prints wall and CPU seconds of each run and the peak of
its memory as JSON, and leaves the last result in the folder. It imports what workers import.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd  # noqa: F401 - as in a worker
import sklearn.ensemble
import sklearn.linear_model  # noqa: F401 - as in a worker

from engine.tasks.detect_drift import run

WINDOW, REFERENCE, PAYLOAD, RESULT = (
    "window.arrows",
    "reference.arrow",
    "payload.json",
    "result.json",
)
_PIECE_BYTES = 256 * 2**10


class FileJob:
    """A job whose rows and reference are files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.payload: Mapping[str, Any] = msgspec.json.decode((folder / PAYLOAD).read_bytes())

    def advance(
        self, amount: int = 1, *, total: int | None = None, note: str | None = None
    ) -> None:
        """Nobody watches."""

    def count(self, name: str, amount: float = 1) -> None:
        """Nobody counts."""

    def read_rows(self) -> Iterator[bytes]:
        """Yield the window as it would come over the wire."""
        with (self._folder / WINDOW).open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece

    def read_part(self, model: str, version: int, part: str = "pipeline") -> bytes:
        """Return the reference."""
        return (self._folder / REFERENCE).read_bytes()


def _peak_mib() -> float:
    # Not of getrusage, which passes on the peak of the process that started this one.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the kernel does not tell the peak of the memory")


def main() -> None:
    """Do as many runs as the command line says, after one that warms up."""
    folder, runs = Path(sys.argv[1]), int(sys.argv[2])
    times = []
    before_mib = _peak_mib()
    for _ in range(runs + 1):
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        result = run(FileJob(folder))
        times.append([time.perf_counter() - began_s, time.process_time() - began_cpu_s])
    (folder / RESULT).write_bytes(msgspec.json.encode(result))
    print(json.dumps({"times": times[1:], "peak_mib": _peak_mib(), "before_mib": before_mib}))


if __name__ == "__main__":
    main()

"""`python main.py worker` as a child: another machine, as far as the engine can tell."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from signal import Signals
from types import TracebackType

import psutil

from tests.support.engine_process import ROOT

TOKEN_VARIABLE = "TRELLIS_SECURITY__CONTROL_TOKEN"


class AgentProcess:
    """Offers a pool's workers to an engine; a context manager that leaves nothing running."""

    def __init__(
        self,
        log_path: Path,
        engine: str,
        token: str,
        *,
        pool: str = "far",
        name: str = "away",
        workers: int = 1,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log_path = log_path
        self._command = [sys.executable, str(ROOT / "main.py"), "worker", "--engine", engine]
        self._command += ["--pool", pool, "--name", name, "--workers", str(workers), *arguments]
        self._environment = {**os.environ, TOKEN_VARIABLE: token, **(environment or {})}

    def start(self) -> "AgentProcess":
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=ROOT,
                start_new_session=True,
            )
        return self

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: Signals) -> None:
        self._process.send_signal(number)

    def signal_all(self, number: Signals) -> None:
        """Send a signal to the agent and then to all that it runs, as if the machine had it."""
        family = [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]
        for process in family:
            with suppress(psutil.NoSuchProcess):  # one that goes on may see to another's end
                process.send_signal(number)

    def wait(self, timeout_s: float = 30.0) -> int:
        """Wait for the end and return the exit code."""
        return self._process.wait(timeout_s)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def __enter__(self) -> "AgentProcess":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

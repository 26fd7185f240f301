"""The real program as a child: started, watched, killed and asked from outside.

Tests, the fault harness and the benchmarks all drive Trellis through this and through its ports.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
MAIN = ROOT / "main.py"

ANY_FREE_PORTS = tuple(
    f"server_ports.{name}=0"
    for name in ("service_a", "service_b", "service_d", "control", "metrics")
)


class EngineProcess:
    """`python main.py` with its own data folder; a context manager that leaves nothing running."""

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Sequence[str] = (),
        config_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
        ready_within_s: float = 60.0,
        arguments: Sequence[str] = (),
        program: Path = MAIN,
    ) -> None:
        self.data_dir = data_dir
        self._command = [sys.executable, str(program), "--data", str(data_dir)]
        if config_dir is not None:
            self._command += ["--config", str(config_dir)]
        for setting in (*ANY_FREE_PORTS, *settings):
            self._command += ["--set", setting]
        self._command += [*arguments]
        self._environment = {**os.environ, **(environment or {})}
        self._ready_within_s = ready_within_s
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self.ready: dict[str, Any] = {}
        self.seconds_to_ready = 0.0

    @property
    def log_path(self) -> Path:
        return self.data_dir.with_name(self.data_dir.name + ".log")

    def start(self) -> "EngineProcess":
        """Start the program and wait for its ready line.

        Raises:
          RuntimeError: it ended, or was not ready in time; the message holds the end of its log.
        """
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        self._log = self.log_path.open("ab")
        started_s = time.perf_counter()
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.PIPE,
            stderr=self._log,
            stdin=subprocess.DEVNULL,
            env=self._environment,
            cwd=ROOT,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        too_late = threading.Timer(self._ready_within_s, self._process.kill)
        too_late.start()
        try:
            for line in self._process.stdout:
                if line.startswith(b"ready "):
                    self.ready = json.loads(line.removeprefix(b"ready "))
                    self.seconds_to_ready = time.perf_counter() - started_s
                    return self
        finally:
            too_late.cancel()
        code = self._process.wait()
        self._close_files()
        raise RuntimeError(f"the engine ended with {code} before it was ready:\n{self.log_tail()}")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def address(self, port: str) -> str:
        """Return `host:port` of a server port by its key, such as `service_b`."""
        return str(self.ready[port])

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, timeout_s: float) -> int:
        """Wait for the end and return the exit code.

        Raises:
          subprocess.TimeoutExpired: it is still running.
        """
        assert self._process is not None
        try:
            return self._process.wait(timeout_s)
        finally:
            if self._process.returncode is not None:
                self._close_files()

    def stop(self, timeout_s: float = 30.0) -> int:
        """Ask for an orderly stop and return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.signal(signal.SIGKILL)
        self.wait(30.0)

    def log_tail(self, lines: int = 40) -> str:
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> "EngineProcess":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._close_files()

    def _close_files(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        if self._log is not None:
            self._log.close()

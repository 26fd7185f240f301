"""A process that stands for another machine with workers, and what it must not leave behind."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

from engine.workers.marks import marked_processes, new_mark
from engine.workers.proctable import children_of
from tests.faults.registry import title_of
from tests.support.engine_process import ROOT

_STOP_S: Final = 10.0


@attrs.frozen
class AgentHost:
    """An agent and its workers; see `registry.RemoteHost`."""

    agent: subprocess.Popen[bytes]
    folder: Path
    """Where it makes its folder for workers."""
    workers: int

    def find_left(self) -> list[str]:
        """Return what is there beside its agent, its zygote and its workers, or is missing."""
        if self.agent.poll() is not None:
            return [f"remote host: its agent has ended with {self.agent.returncode}"]
        found = [(pid, title_of(pid)) for pid in sorted(children_of(self.agent.pid))]
        zygotes = [pid for pid, title in found if title.startswith("trellis zygote")]
        workers = [pid for pid, title in found if title.startswith("trellis worker")]
        everything = {pid for pid, _ in found} | {*self._marked()} - {self.agent.pid}
        left = []
        if len(zygotes) != 1 or len(workers) != self.workers:
            left.append(f"remote host: zygotes {zygotes}, workers {workers} of {self.workers}")
        left += [
            f"remote host: process {pid}: {title_of(pid)!r}"
            for pid in sorted(everything - {*zygotes, *workers})
        ]
        folders = [path.name for own in self._own() for path in (own / "workers").glob("*")]
        if len(folders) > self.workers:
            left.append(f"remote host: {self.workers} workers, but folders {folders}")
        return left

    def end(self) -> list[str]:
        """End the agent in order; return what that has left."""
        marks = [new_mark(own).folder for own in self._own()]
        self.agent.terminate()
        try:
            code = self.agent.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return [f"the remote host's agent did not end within {_STOP_S:g} s"]
        left = [] if code == 0 else [f"the remote host's agent ended with {code} on SIGTERM"]
        left += [f"the remote host's agent left the folder {own}" for own in self._own()]
        left += [
            f"process {pid} outlived the remote host's agent: {title_of(pid)!r}"
            for pid, mark in marked_processes()
            if mark.folder in marks
        ]
        return left

    def kill(self) -> None:
        """End the agent, whatever it does; nothing happens if it has ended."""
        self.agent.kill()
        self.agent.wait()

    def _own(self) -> list[Path]:
        return [*self.folder.iterdir()]

    def _marked(self) -> list[int]:
        marks = [new_mark(own).folder for own in self._own()]
        return [pid for pid, mark in marked_processes() if mark.folder in marks]


@contextmanager
def running_agent(
    folder: Path, engine: str, token: str, *, name: str, pool: str, workers: int
) -> Iterator[AgentHost]:
    """Run a remote host for an engine while the block runs.

    Args:
      folder: for its log and its files.
      engine: the control port's address, as the host sees it.
    """
    token_file = folder / "control-token"
    token_file.write_text(token)
    own = folder / "agent"
    own.mkdir()
    command = [sys.executable, str(ROOT / "main.py"), "worker", "--engine", engine, "--pool", pool]
    command += ["--workers", str(workers), "--name", name, "--token-file", str(token_file)]
    with (folder / "agent.log").open("ab") as log:
        agent = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(own)},
            start_new_session=True,
        )
    host = AgentHost(agent, own, workers)
    try:
        yield host
    finally:
        if agent.poll() is None:
            host.end()

"""Dramatiq, Celery and arq as `benchmarks.jobs` drives them: two workers each, else defaults."""

import os
import signal
import subprocess
from collections.abc import Callable
from types import TracebackType

import attrs
import redis

from tests.support.engine_process import ROOT

_STOP_S = 10.0


@attrs.frozen
class Peer:
    """A job queue: what starts its workers, and how its unfinished jobs are counted."""

    name: str
    module: str
    commands: tuple[tuple[str, ...], ...]
    count_left: Callable[[redis.Redis], int]
    jobs_per_s: int
    """About what it does, so that runs of all queues take as long."""


def _module_command(program: str, *arguments: str) -> tuple[str, ...]:
    return ("-m", program, *arguments)


PEERS = (
    Peer(
        "Dramatiq",
        "benchmarks.job_peers.dramatiq_app",
        (_module_command("dramatiq", "benchmarks.job_peers.dramatiq_app", "--processes", "2"),),
        # Messages stay here until they are acknowledged.
        lambda client: int(client.hlen("dramatiq:default.msgs")),
        jobs_per_s=3_000,
    ),
    Peer(
        "Celery",
        "benchmarks.job_peers.celery_app",
        (
            _module_command(
                "celery", "-A", "benchmarks.job_peers.celery_app", "worker", "--concurrency", "2"
            ),
        ),
        lambda client: int(client.llen("celery")) + int(client.hlen("unacked")),
        jobs_per_s=1_000,
    ),
    Peer(
        "arq",
        "benchmarks.job_peers.arq_app",
        (_module_command("arq", "benchmarks.job_peers.arq_app.WorkerSettings"),) * 2,
        lambda client: int(client.zcard("arq:queue")),
        jobs_per_s=350,
    ),
)


def versions(python: str) -> str:
    """Return the peers' versions in words."""
    script = (
        "from importlib.metadata import version\n"
        "names = ('dramatiq', 'celery', 'arq', 'redis')\n"
        "print(', '.join(f'{name} {version(name)}' for name in names))"
    )
    done = subprocess.run([python, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


class PeerWorkers:
    """The workers of a peer on a database of their own; a context manager that leaves none."""

    def __init__(self, peer: Peer, python: str, redis_url: str) -> None:
        self._peer = peer
        self._python = python
        self._environment = {**os.environ, "JOBS_REDIS_URL": redis_url}
        self._client = redis.Redis.from_url(redis_url)
        self._workers: list[subprocess.Popen[bytes]] = []
        self._others: list[subprocess.Popen[bytes]] = []

    def send(self, *arguments: str) -> None:
        """Send jobs as `job_peers/sending.py` takes it from its command line."""
        command = [self._python, "-m", self._peer.module, *arguments]
        subprocess.run(command, cwd=ROOT, env=self._environment, check=True)

    def start_traffic(self, per_second: float) -> None:
        """Send no-op jobs until the end of the block."""
        self._others.append(self._start(("-m", self._peer.module, "traffic", str(per_second))))

    def start(self) -> None:
        """Start the workers; that they are ready their first jobs show."""
        self._workers = [self._start(command) for command in self._peer.commands]

    def start_ended_again(self) -> int:
        """Do as a service manager would: start again what has ended. Returns how many had."""
        restarted = 0
        for number, command in enumerate(self._peer.commands):
            if self._workers[number].poll() is not None:
                self._workers[number] = self._start(command)
                restarted += 1
        return restarted

    def count_left(self) -> int:
        """Return how many jobs have not ended."""
        return self._peer.count_left(self._client)

    def __enter__(self) -> "PeerWorkers":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.close()
        for process in (*self._workers, *self._others):
            # Its children are of the same session, and may be stopped.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(_STOP_S)

    def _start(self, arguments: tuple[str, ...]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [self._python, *arguments],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

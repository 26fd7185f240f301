"""How soon workers that fail are replaced: `python -m benchmarks.replacement`.

Measured from outside: jobs mark in a log of their own when they begin, and who kills or stops their
workers reads the same clock. Settings are the defaults but for two: `stall_s` of the types of jobs
that stall, and `restart_period_s`, so that each failure counts as the slot's first, since a slot
that fails again soon is filled more slowly on purpose.
"""

import argparse
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import attrs
import duckdb

from benchmarks.engine_calls import EngineCalls
from benchmarks.job_bodies import job_types
from benchmarks.job_marks import wait_for_marks
from benchmarks.measure import describe_machine, percentile
from proto.trellis.v1 import workers_pb2
from tests.support.engine_process import EngineProcess

LEASE_S = 5.0
STALL_S = 3.0
_RESTART_PERIOD_S = 0.2
_SETTLE_S = 0.3
"""Between two failures, more than the restart period."""
_CHECK_INTERVAL_S = 1.0
_GOLDEN = 0.618
"""Spreads the moments of failures evenly over the time between two checks."""
_LONG_S = 600.0
_WAIT_S = 30.0
_POLL_S = 0.001


@attrs.frozen
class Failure:
    """A way to fail, and how late the job may be running again."""

    title: str
    cause: str
    job_type: str
    limit_s: float
    sent: signal.Signals | None = None
    """Sent to the process that has the job; None: the job does it to itself."""


KILLED = Failure("killed", "died", "work", 0.15, signal.SIGKILL)
SLOW = (
    Failure("stopped (SIGSTOP)", "silent", "work", LEASE_S + 0.25, signal.SIGSTOP),
    Failure("holds the GIL", "silent", "held_gil", LEASE_S + 0.25),
    Failure("deadlocked", "stalled", "deadlocked", STALL_S + 1),
    Failure("endless loop", "stalled", "endless", STALL_S + 1),
)
START_LIMIT_S = 0.05


class Trials:
    """Lets jobs and workers of a running engine fail."""

    def __init__(self, to: EngineCalls, folder: Path) -> None:
        self._to = to
        self._folder = folder
        self._count = 0

    def time_failure(self, failure: Failure) -> float:
        """Let a job fail; return the seconds until it was running again.

        Raises:
          TimeoutError: it did not begin, or not again.
          RuntimeError: the engine has recorded another cause.
        """
        self._count += 1
        log = self._folder / f"marks{self._count}"
        time.sleep(_SETTLE_S)
        job_id = self._to.submit(failure.job_type, log=str(log), seconds=_LONG_S)
        begun = wait_for_marks(log, "begin", 1, within_s=_WAIT_S, poll_s=_POLL_S)
        if not begun:
            raise TimeoutError(f"the job did not begin within {_WAIT_S} s")
        failed_s = begun[0].at_s
        if failure.sent is not None:
            time.sleep(_CHECK_INTERVAL_S * (self._count * _GOLDEN % 1))
            failed_s = time.monotonic()
            os.kill(begun[0].pid, failure.sent)
        marks = wait_for_marks(log, "begin", 2, within_s=_WAIT_S, poll_s=_POLL_S)
        if len(marks) < 2:
            raise TimeoutError(f"the job did not begin again within {_WAIT_S} s")
        causes = [attempt.cause for attempt in self._to.get_job(job_id).attempts]
        if failure.cause not in causes or marks[1].pid == begun[0].pid:
            raise RuntimeError(f"wanted the cause {failure.cause}, found {causes}")
        return marks[1].at_s - failed_s

    def time_start(self) -> "Start":
        """Kill an idle worker; return when its slot's next one had checked in."""
        time.sleep(_SETTLE_S)
        old = self._wait_idle()
        killed_s = time.time()
        os.kill(old.pid, signal.SIGKILL)
        while not any(one.slot == old.slot and one.pid != old.pid for one in self._idle()):
            if time.time() > killed_s + _WAIT_S:
                raise TimeoutError(f"no worker within {_WAIT_S} s")
            time.sleep(_POLL_S)
        return Start(old.worker_id, killed_s, time.time())

    def _wait_idle(self) -> workers_pb2.Worker:
        give_up_at_s = time.monotonic() + _WAIT_S
        while not (idle := self._idle()):
            if time.monotonic() > give_up_at_s:
                raise TimeoutError(f"no idle worker within {_WAIT_S} s")
            time.sleep(_POLL_S)
        return idle[0]

    def _idle(self) -> list[workers_pb2.Worker]:
        """Return the workers that have checked in and wait."""
        return [one for one in self._to.list_workers() if one.state == "idle"]


@attrs.frozen
class Start:
    """A worker was killed, and the next one of its slot was ready, by the wall clock."""

    old_worker_id: str
    killed_s: float
    ready_s: float


def decided_at_s(data_file: Path) -> dict[str, float]:
    """Return when the engine was done with each worker, and turned to starting the next one."""
    with duckdb.connect(str(data_file), read_only=True) as data:
        rows = data.execute(
            "SELECT worker_id, epoch_us(logged_at) / 1e6 FROM worker_log WHERE change = 'ended'"
        ).fetchall()
    return dict(rows)


def report(title: str, samples_s: Sequence[float], limit_s: float, *, of_p99: bool) -> None:
    """Print a row of the table in the README."""
    millis = [sample * 1e3 for sample in samples_s]
    share = sum(sample <= limit_s for sample in samples_s) / len(samples_s)
    print(
        f"| {title} | {'p99' if of_p99 else 'at most'} {limit_s * 1e3:,.0f} | {len(millis)} | "
        f"{statistics.median(millis):,.1f} | {percentile(millis, 0.99):,.1f} | "
        f"{max(millis):,.1f} | {share:.1%} |",
        flush=True,
    )


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="deaths of workers, and starts")
    parser.add_argument("--failures", type=int, default=20, help="of each of the slow kinds")
    parser.add_argument("--quick", action="store_true", help="few of each, to try it")
    options = parser.parse_args()
    kills, failures = (5, 1) if options.quick else (options.kills, options.failures)
    print(describe_machine())
    print(
        "| failure to the same job running again | wanted, ms | n | median | p99 | max | within |"
    )
    print("|---|---|---|---|---|---|---|")
    settings = (
        f"workers.restart_period_s={_RESTART_PERIOD_S}",
        job_types(deadlocked=STALL_S, endless=STALL_S),
    )
    with (
        tempfile.TemporaryDirectory() as name,
        EngineProcess(Path(name) / "data", settings=settings) as engine,
        EngineCalls(engine) as to,
    ):
        trials = Trials(to, Path(name))
        trials.time_failure(KILLED)  # the first one also loads what the handlers import
        samples_s = [trials.time_failure(KILLED) for _ in range(kills)]
        report(KILLED.title, samples_s, KILLED.limit_s, of_p99=True)
        starts = [trials.time_start() for _ in range(kills)]
        for failure in SLOW:
            samples_s = [trials.time_failure(failure) for _ in range(failures)]
            report(failure.title, samples_s, failure.limit_s, of_p99=False)
        engine.stop()
        decided_s = decided_at_s(engine.data_dir / "trellis.duckdb")
    samples_s = [start.ready_s - decided_s[start.old_worker_id] for start in starts]
    report("decision to start a worker to its first check", samples_s, START_LIMIT_S, of_p99=True)
    samples_s = [start.ready_s - start.killed_s for start in starts]
    report("an idle worker's death to that check", samples_s, KILLED.limit_s, of_p99=True)


if __name__ == "__main__":
    main()

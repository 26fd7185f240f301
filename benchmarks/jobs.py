"""No-op jobs beside Dramatiq, Celery and arq: `python -m benchmarks.jobs`.

With `--recovery` also what becomes of a job whose worker is killed or stopped under it.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from benchmarks.engine_calls import EngineCalls, submit_many
from benchmarks.job_bodies import job_types
from benchmarks.job_marks import wait_for_marks
from benchmarks.measure import describe_machine
from benchmarks.peer_queues import PEERS, Peer, PeerWorkers, versions
from benchmarks.peer_venv import find_python
from benchmarks.recovery import CASES, Recovery, measure_engine, measure_peers
from benchmarks.redis_server import RedisOnPort, running_redis
from tests.support.engine_process import EngineProcess

WORKERS = 2
_JOBS_PER_S = 5_000
"""About what Trellis does, as `Peer.jobs_per_s`."""
_POLL_S = 0.02
_FROM_SHARE = 0.9
"""Timed from when a tenth is done, so that neither starting workers nor a first job counts."""
_DRAIN_S = 120.0


def time_drain(count_left: Callable[[], int], jobs: int) -> float:
    """Wait until a full queue is empty; return the jobs/s of all but its first tenth.

    Raises:
      TimeoutError: it is not within two minutes.
    """
    give_up_at_s = time.monotonic() + _DRAIN_S
    began_s, left_at_begin = 0.0, 0
    while (left := count_left()) > 0:
        now_s = time.monotonic()
        if not began_s and left <= jobs * _FROM_SHARE:
            began_s, left_at_begin = now_s, left
        if now_s > give_up_at_s:
            raise TimeoutError(f"{left} of {jobs} jobs are left after {_DRAIN_S} s")
        time.sleep(_POLL_S)
    return left_at_begin / (time.monotonic() - began_s)


def drain_peer(peer: Peer, python: str, redis: RedisOnPort, jobs: int) -> float:
    """Fill a peer's queue, then start its workers; return jobs/s."""
    with PeerWorkers(peer, python, redis.url(1, empty=True)) as workers:
        workers.send("fill", str(jobs))
        workers.start()
        return time_drain(workers.count_left, jobs)


def drain_engine(redis: RedisOnPort, jobs: int) -> float:
    """Fill the engine's queue while jobs keep both workers, then let go of them; return jobs/s.

    Raises:
      RuntimeError: not every job has one outcome, a success, in the data file.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = (f"redis.url={redis.url(0, empty=True)}", job_types())
        with EngineProcess(folder / "data", settings=settings) as engine, EngineCalls(engine) as to:
            log, gate = folder / "marks", folder / "gate"
            for _ in range(WORKERS):
                to.submit("gate", log=str(log), gate=str(gate))
            wait_for_marks(log, "begin", WORKERS, within_s=30)
            submit_many(engine.address("service_d"), "noop", jobs)
            gate.touch()
            rate = time_drain(to.count_left, jobs)
            engine.stop()
        with duckdb.connect(str(folder / "data" / "trellis.duckdb"), read_only=True) as data:
            outcomes = data.execute(
                "SELECT state, count(*) FROM job_outcomes GROUP BY 1"
            ).fetchall()
    if outcomes != [("SUCCEEDED", jobs + WORKERS)]:
        raise RuntimeError(f"{jobs + WORKERS} jobs came to {outcomes}")
    return rate


def print_table(rates: dict[str, list[float]], recoveries: dict[str, dict[str, Recovery]]) -> None:
    """Print a row a queue, as the table in the README."""
    headings = ["", "no-op jobs/s", *(CASES if recoveries else ())]
    print(f"| {' | '.join(headings)} |")
    print(f"|{'---|' * len(headings)}")
    for name, samples in rates.items():
        spread = f"{min(samples):,.0f} to {max(samples):,.0f}, n={len(samples)}"
        cells = [name, f"{statistics.median(samples):,.0f} ({spread})"]
        cells += [str(recoveries[name][case]) for case in CASES] if recoveries else []
        print(f"| {' | '.join(cells)} |")


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a run, about")
    parser.add_argument("--quick", action="store_true", help="one short run of each, to try it")
    parser.add_argument("--recovery", action="store_true", help="minutes more; see --give-up-s")
    parser.add_argument("--give-up-s", type=float, default=150.0, help="longest wait for recovery")
    parser.add_argument("--peers-python", help="an interpreter with requirements-peers.txt")
    options = parser.parse_args()
    runs, seconds = (1, 1.0) if options.quick else (options.runs, options.seconds)
    python = find_python("peers", options.peers_python)
    rates: dict[str, list[float]] = {"Trellis": [], **{peer.name: [] for peer in PEERS}}
    recoveries: dict[str, dict[str, Recovery]] = {}
    with running_redis() as redis:
        print(f"{describe_machine()}; {versions(python)}; redis-server {redis.version()}")
        # In turns, so that what else the machine does meets all of them.
        for _ in range(runs):
            rates["Trellis"].append(drain_engine(redis, round(_JOBS_PER_S * seconds)))
            for peer in PEERS:
                jobs = round(peer.jobs_per_s * seconds)
                rates[peer.name].append(drain_peer(peer, python, redis, jobs))
        if options.recovery:
            recoveries["Trellis"] = measure_engine(redis, options.give_up_s)
            recoveries |= measure_peers(python, redis, options.give_up_s)
    print_table(rates, recoveries)


if __name__ == "__main__":
    main()

"""What becomes of a job whose worker is killed or stopped under it, in Trellis and its peers."""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import attrs

from benchmarks.engine_calls import EngineCalls
from benchmarks.job_bodies import job_types
from benchmarks.job_marks import Mark, read_marks, wait_for_marks
from benchmarks.peer_queues import PEERS, Peer, PeerWorkers
from benchmarks.redis_server import RedisOnPort
from tests.support.engine_process import EngineProcess

JOB_S = 3.0
_BEGIN_S = 60.0
_POLL_S = 0.02
_TRAFFIC_PER_S = 5.0


@attrs.frozen
class Case:
    """What happens to the worker, and whether other jobs come meanwhile."""

    signal: signal.Signals
    traffic: bool

    def __str__(self) -> str:
        return f"{self.signal.name}, {'traffic' if self.traffic else 'idle'}"


_CASES = tuple(
    Case(number, traffic)
    for number, traffic in product((signal.SIGKILL, signal.SIGSTOP), (False, True))
)
CASES = tuple(map(str, _CASES))


@attrs.frozen
class Recovery:
    """When the job was running again, seconds after the signal; None if not in time."""

    after_s: float | None
    gave_up_s: float
    lost: bool = False
    """It was not in the queue any more either."""

    def __str__(self) -> str:
        if self.after_s is not None:
            return f"{self.after_s:,.2f} s"
        return "lost" if self.lost else f"not within {self.gave_up_s:.0f} s"


def measure_engine(redis: RedisOnPort, give_up_s: float) -> dict[str, Recovery]:
    """Do every case in an engine of its own, one after the other."""
    return {str(case): _measure_engine(case, redis, give_up_s) for case in _CASES}


def measure_peers(
    python: str, redis: RedisOnPort, give_up_s: float
) -> dict[str, dict[str, Recovery]]:
    """Do every case of every peer, all side by side: they wait most of the time."""
    results: dict[str, dict[str, Recovery]] = {peer.name: {} for peer in PEERS}
    plan = [(peer, case) for peer in PEERS for case in _CASES]
    with ThreadPoolExecutor(len(plan)) as pool:
        futures = [
            pool.submit(_measure_peer, peer, case, python, redis.url(number, empty=True), give_up_s)
            for number, (peer, case) in enumerate(plan, start=1)
        ]
        for (peer, case), future in zip(plan, futures, strict=True):
            results[peer.name][str(case)] = future.result()
    return results


def _measure_engine(case: Case, redis: RedisOnPort, give_up_s: float) -> Recovery:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = (f"redis.url={redis.url(0, empty=True)}", job_types())
        with EngineProcess(folder / "data", settings=settings) as engine, EngineCalls(engine) as to:
            over = threading.Event()
            sending = threading.Thread(target=_send_noops, args=(to, over))
            if case.traffic:
                sending.start()
            try:
                to.submit("work", log=str(folder / "marks"), seconds=JOB_S)
                return _interrupt(case, folder / "marks", give_up_s, lambda: None, to.count_left)
            finally:
                over.set()
                if case.traffic:
                    sending.join()
                engine.stop()


def _send_noops(to: EngineCalls, over: threading.Event) -> None:
    while not over.wait(1 / _TRAFFIC_PER_S):
        to.submit("noop")


def _measure_peer(
    peer: Peer, case: Case, python: str, redis_url: str, give_up_s: float
) -> Recovery:
    with (
        tempfile.TemporaryDirectory() as name,
        PeerWorkers(peer, python, redis_url) as workers,
    ):
        workers.start()
        if case.traffic:
            workers.start_traffic(_TRAFFIC_PER_S)
        log = Path(name) / "marks"
        workers.send("work", str(log), str(JOB_S))
        return _interrupt(case, log, give_up_s, workers.start_ended_again, workers.count_left)


def _interrupt(
    case: Case,
    log: Path,
    give_up_s: float,
    keep_up: Callable[[], object],
    count_left: Callable[[], int],
) -> Recovery:
    """Send the signal to the process that has the job; wait until the job is running elsewhere.

    Args:
      keep_up: called all the time; does what a service manager would.
    Raises:
      TimeoutError: the job did not begin in the first place.
    """
    begun = wait_for_marks(log, "begin", 1, within_s=_BEGIN_S)
    if not begun:
        raise TimeoutError(f"no job began within {_BEGIN_S} s")
    signalled_s = time.monotonic()
    os.kill(begun[0].pid, case.signal)
    while time.monotonic() < signalled_s + give_up_s:
        keep_up()
        if again := _elsewhere(read_marks(log, "begin"), begun[0]):
            return Recovery(again.at_s - signalled_s, give_up_s)
        time.sleep(_POLL_S)
    # A stopped process still has it, and may yet go on.
    lost = case == Case(signal.SIGKILL, False) and count_left() == 0
    return Recovery(None, give_up_s, lost)


def _elsewhere(marks: list[Mark], first: Mark) -> Mark | None:
    return next((one for one in marks if one.pid != first.pid), None)

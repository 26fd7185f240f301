"""`kill -9` of an engine that learns, amid trainings, drift checks, promotions and rollbacks."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import attrs
import grpc

from proto.trellis.v1 import monitor_pb2, workers_pb2
from tests.faults.registry_audit import Told, find_registry_violations
from tests.support.learning_engine import MODELS, LearningEngine, prepare, query, running_engine

LEARNING_MODELS: Final = MODELS.replace(
    "drift: {window: 10m, least_rows: 50}",
    "drift: {every: 2s, window: 10m, least_rows: 20, psi: 0.001, ks_statistic: 0.001, alpha: 0.5, "
    "share: 0.01}",
).replace("promote: manual", "promote: better, cool_down: 1s, least_gain: -10")
"""Every look finds drift, every training a champion."""
_MODEL: Final = "buys"
_REFUSED: Final = frozenset({grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND})
"""Answers to what may be asked at the wrong moment."""
_PASSING: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
    }
)
_CALL_S: Final = 10.0
_READY_S: Final = 90.0


@attrs.define
class LearningOutcome:
    """Sums over all rounds of a run."""

    rounds: int = 0
    versions: int = 0
    reports: int = 0
    moves: int = 0
    answers: int = 0
    worker_kills: int = 0
    violations: list[str] = attrs.field(factory=list)


@attrs.define
class Operators:
    """People who retrain, promote, roll back and ask, all at once; they remember what they got."""

    rng: random.Random
    champions: list[int] = attrs.field(factory=list)
    trainings: set[str] = attrs.field(factory=set)
    answered_by: set[int] = attrs.field(factory=set)
    answers: int = 0
    surprises: list[str] = attrs.field(factory=list)
    _stop: threading.Event = attrs.field(factory=threading.Event)

    @property
    def told(self) -> Told:
        return Told(_MODEL, tuple(self.champions), tuple(self.trainings), tuple(self.answered_by))

    @contextmanager
    def at_work(self, engine: LearningEngine) -> Iterator[None]:
        """Have them call this engine while the block runs."""
        self._stop.clear()
        threads = [
            threading.Thread(target=self._repeat, args=(do, engine, pause_s), daemon=True)
            for do, pause_s in ((self._retrain, 4.0), (self._move, 0.05), (self._ask, 0.02))
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _repeat(
        self, do: Callable[[LearningEngine], None], engine: LearningEngine, pause_s: float
    ) -> None:
        while not self._stop.wait(pause_s):
            try:
                do(engine)
            except grpc.RpcError as error:
                if error.code() not in _PASSING | _REFUSED:
                    self.surprises.append(f"{do.__name__}: {error.code()}: {error.details()}")

    def _retrain(self, engine: LearningEngine) -> None:
        request = monitor_pb2.RetrainRequest(model=_MODEL)
        self.trainings.add(engine.call("MonitorService/Retrain", request, _CALL_S).job_id)

    def _move(self, engine: LearningEngine) -> None:
        latest = engine.model().latest_version
        version = self.rng.randint(2, max(2, latest))
        if engine.set_champion(version) != version:
            self.champions.append(version)

    def _ask(self, engine: LearningEngine) -> None:
        answer = engine.predict(self.rng.randint(1, 20), _CALL_S)
        self.answers += 1
        self.answered_by.add(answer.model_version)


def kill_while_learning(
    folder: Path, *, rounds: int, seed: int, report: Callable[[str], None] = lambda _: None
) -> LearningOutcome:
    """Kill the engine and its workers at random moments, and audit the registry after each kill.

    After the last one the engine goes on, and is stopped in order.
    """
    rng = random.Random(seed)
    outcome = LearningOutcome()
    operators = Operators(random.Random(seed + 1))
    folder.mkdir(parents=True, exist_ok=True)
    prepare(folder, (), models=LEARNING_MODELS)
    with running_engine(folder, settings=("workers.max_python_workers=4",)) as first:
        # Its first training may have been started by the engine itself.
        first.wait_for_end(first.retrain()[0], _READY_S)
        process, engine = first.process, first
        for number in range(rounds + 1):
            if number:
                engine = LearningEngine(process.start())
            try:
                engine.predict(timeout_s=_READY_S)
                with operators.at_work(engine):
                    outcome.worker_kills += _kill_workers(engine, rng, rng.uniform(4.0, 16.0))
                    if number < rounds:
                        process.kill()
            finally:
                engine.close()
            if number == rounds and (code := process.stop()) != 0:
                outcome.violations.append(f"the engine ended with {code}: {process.log_tail()}")
            found = find_registry_violations(process.data_dir, operators.told)
            outcome.violations += found
            report(f"round {number}: {len(operators.champions)} moves, {len(found)} violations")
        outcome.rounds = rounds
        outcome.violations += operators.surprises
        if "Traceback" in process.log_path.read_text(errors="replace"):
            outcome.violations.append(f"a traceback in {process.log_path}")
    outcome.moves, outcome.answers = len(operators.champions), operators.answers
    outcome.versions, outcome.reports = _count(folder)
    return outcome


def _kill_workers(engine: LearningEngine, rng: random.Random, for_s: float) -> int:
    """Kill a worker now and then for so long; return how many that were."""
    over_s = time.monotonic() + for_s
    kills = 0
    while (left_s := over_s - time.monotonic()) > 0:
        # The moments of the kills, not a wait for anything.
        time.sleep(min(left_s, rng.uniform(1.0, 8.0)))
        pids = [worker.pid for worker in _list_workers(engine) if worker.pid]
        if pids and time.monotonic() < over_s:
            with suppress(ProcessLookupError):
                os.kill(rng.choice(pids), signal.SIGKILL)
                kills += 1
    return kills


def _list_workers(engine: LearningEngine) -> list[Any]:
    try:
        request = workers_pb2.ListWorkersRequest()
        return list(engine.call("WorkerService/ListWorkers", request, _CALL_S).workers)
    except grpc.RpcError as error:
        if error.code() not in _PASSING:
            raise
        return []


def _count(folder: Path) -> tuple[int, int]:
    [(versions,)] = query(folder, "SELECT count(*) FROM model_artifacts")
    [(reports,)] = query(folder, "SELECT count(*) FROM drift_reports")
    return versions, reports

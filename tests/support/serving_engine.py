"""An engine with a trained model, workers that score, and callers that never stop asking."""

import os
import signal
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from engine.models import Promotion
from proto.trellis.v1 import features_pb2, jobs_pb2, models_pb2, monitor_pb2, workers_pb2
from tests.support.engine_process import EngineProcess
from tests.support.trained_version import CHAMPION, add_versions

FEATURES = """
entities:
  user: {key: user_id, type: int64}
features:
  views: {from: events, where: {action: view}, aggregate: count, window: 1h}
  spend: {from: events, where: {action: purchase}, aggregate: sum, column: value, window: 1h}
  last_action: {from: events, aggregate: last, column: action}
"""
MODELS = """
models:
  buys:
    entity: user
    features: [views, spend, last_action]
    policy: {shadow: true}
  named:
    entity: user
    features: [views]
"""
DEADLINE_S = 20.0
_FIRST_S = 60.0


class ServingEngine:
    """The real program, asked over the wire."""

    def __init__(self, process: EngineProcess) -> None:
        self.process = process
        self._channels = {
            port: grpc.insecure_channel(process.address(port))
            for port in ("service_b", "service_d")
        }

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()

    def call(self, method: str, request: Any, timeout_s: float = DEADLINE_S) -> Any:
        """Call a method, given as Service/Method."""
        service, name = method.split("/")
        module = {
            "FeatureService": features_pb2,
            "ModelService": models_pb2,
            "JobService": jobs_pb2,
            "WorkerService": workers_pb2,
            "MonitorService": monitor_pb2,
        }[service]
        port = "service_b" if service in ("FeatureService", "ModelService") else "service_d"
        ask = self._channels[port].unary_unary(
            f"/trellis.v1.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=getattr(module, f"{name}Response").FromString,
        )
        return ask(request, timeout=timeout_s)

    def predict(self, entity_key: int = 1, timeout_s: float = DEADLINE_S, **more: Any) -> Any:
        request = features_pb2.PredictRequest(**{"model": "buys", "entity_key": entity_key, **more})
        return self.call("FeatureService/Predict", request, timeout_s)

    def refusal(self, **more: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.RpcError) as raised:
            self.predict(**more)
        return raised.value.code(), raised.value.details()

    def list_jobs(self, job_type: str) -> list[Any]:
        """Return all jobs of a type."""
        request = jobs_pb2.ListJobsRequest(job_type=job_type)
        return list(self.call("JobService/ListJobs", request).jobs)

    def metric(self, series: str) -> float:
        """Return a metric by its name and labels; 0 if there is none yet."""
        url = f"http://{self.process.ready['metrics']}/metrics"
        with urllib.request.urlopen(url, timeout=5) as reply:
            lines = reply.read().decode().splitlines()
        return next((float(one.split()[-1]) for one in lines if one.startswith(series)), 0.0)

    def scorers(self) -> dict[int, str]:
        """Return process ids and workers of the pool `serve` that have a job."""
        workers = self.call("WorkerService/ListWorkers", workers_pb2.ListWorkersRequest()).workers
        return {
            worker.pid: worker.worker_id
            for worker in workers
            if worker.pool == "serve" and worker.job_id and worker.pid
        }

    def wait_for_scorers(
        self, count: int, *, other_than: Iterable[int] = (), within_s: float = _FIRST_S
    ) -> dict[int, str]:
        """Wait until so many workers score, none of them among given process ids."""
        found: dict[int, str] = {}

        def are_there() -> bool:
            nonlocal found
            found = self.scorers()
            return len(found) == count and not found.keys() & set(other_than)

        wait_until(are_there, within_s)
        return found


class Callers:
    """Threads that ask for predictions, one call after the other."""

    def __init__(self, engine: ServingEngine, count: int) -> None:
        self._engine = engine
        self._stop = threading.Event()
        self.versions: Counter[int] = Counter()
        self.errors: list[grpc.RpcError] = []
        self.slowest_s = 0.0
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(count)]

    @property
    def answers(self) -> int:
        return self.versions.total()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * DEADLINE_S)

    def wait_for_answers(self, more: int) -> None:
        """Wait until so many further calls have been answered."""
        wanted = self.answers + more
        wait_until(lambda: self.answers >= wanted or bool(self.errors), _FIRST_S)

    def _ask(self, number: int) -> None:
        while not self._stop.is_set():
            began_s = time.monotonic()
            try:
                reply = self._engine.predict(number)
            except grpc.RpcError as error:
                self.errors.append(error)
            else:
                self.versions[reply.model_version] += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)


@contextmanager
def calling(engine: ServingEngine, count: int = 8) -> Iterator[Callers]:
    """Have callers ask while the block runs; none of them may get an error."""
    callers = Callers(engine, count)
    callers.start()
    try:
        yield callers
    finally:
        callers.stop()
    assert [(error.code(), error.details()) for error in callers.errors] == []


def wait_until(condition: Callable[[], bool], within_s: float) -> None:
    """Wait for a condition. Raises AssertionError when the time is up."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "it has not come about in time"
        time.sleep(0.02)


def write_configs(folder: Path, models: str = MODELS) -> Path:
    """Write the configuration of these tests."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "app.yaml").write_text("{}")
    (folder / "features.yaml").write_text(FEATURES)
    (folder / "models.yaml").write_text(models)
    return folder


@contextmanager
def serving_engine(
    folder: Path,
    *,
    scorers: int = 2,
    promotions: Sequence[Promotion] = (CHAMPION,),
    settings: Sequence[str] = (),
    **more: Any,
) -> Iterator[ServingEngine]:
    """Run an engine with trained versions of the model `buys`, from 2 on."""
    configs, data = write_configs(folder / "configs"), folder / "data"
    if promotions:
        add_versions(data, configs, "buys", promotions, **more)
    workers = (
        f"workers.max_python_workers={scorers + 1}",
        f"workers.pools={{serve: {scorers}}}",
    )
    with EngineProcess(data, config_dir=configs, settings=(*workers, *settings)) as process:
        engine = ServingEngine(process)
        try:
            yield engine
        finally:
            engine.close()


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process in the block, as a debugger or a frozen container would."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            return  # it was replaced

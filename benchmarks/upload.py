"""A large NDJSON file from its sender to rows that count: `python -m benchmarks.upload`.

Meanwhile another process asks for features at an even rate, and the engine's memory is sampled.
"""

import argparse
import multiprocessing
import multiprocessing.connection
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import psutil

from benchmarks.engine_calls import EngineCalls
from benchmarks.measure import (
    cpu_s,
    describe_machine,
    describe_spread,
    percentile,
    read_metrics,
    resident_mib,
)
from proto.trellis.v1 import ingest_pb2
from tests.support.engine_process import EngineProcess

CHUNK_BYTES = 256 << 10
_PLANS = ("free", "basic", "pro", "team")
_SAMPLE_S = 0.05
_POLL_S = 0.02
_WAIT_S = 300.0
_IDLE_S = 3.0
"""After the start, for what the engine does once; the memory it then has counts as idle."""
_ASKS_PER_S = 100
_FEATURES = ("plan", "views_5m", "clicks_5m", "spend_24h", "last_action")


def write_file(path: Path, size_bytes: int, users: int, seed: int) -> int:
    """Write profiles of the default configuration, one JSON object a line; return the rows."""
    rng = random.Random(seed)
    begin = datetime.now(UTC) - timedelta(days=7)
    rows = written = 0
    with path.open("w") as file:
        while written < size_bytes:
            at = begin + timedelta(milliseconds=rows * 400)
            written += file.write(
                f'{{"user_id": {rng.randrange(users)}, "plan": "{rng.choice(_PLANS)}", '
                f'"age": {rng.randrange(18, 90)}, "updated_at": "{at.isoformat()}"}}\n'
            )
            rows += 1
    return rows


def chunks_of(path: Path) -> Iterator[bytes]:
    """Read a file in the pieces that it is sent in."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


class MemoryWatch:
    """Samples a process's memory in a thread; a context manager.

    PSS counts a page that forked processes share (the worker's zygote is one) to each by its
    share; RSS counts it whole to all.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._process = psutil.Process(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.idle_pss_mib = self._pss_mib()
        self.idle_rss_mib = resident_mib(pid)
        self.peak_pss_mib = self.idle_pss_mib
        self.peak_rss_mib = self.idle_rss_mib

    def __enter__(self) -> "MemoryWatch":
        # The kernel's own high-water mark begins anew: no peak between two samples is missed.
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for line in Path(f"/proc/{self._pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                self.peak_rss_mib = int(line.split()[1]) / 1024

    def _sample(self) -> None:
        while not self._over.wait(_SAMPLE_S):
            self.peak_pss_mib = max(self.peak_pss_mib, self._pss_mib())

    def _pss_mib(self) -> float:
        for line in Path(f"/proc/{self._pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("the kernel does not tell the PSS")


def ask_for_features(
    address: str, users: int, over: "multiprocessing.connection.Connection"
) -> None:
    """Entry point of the asking process: ask at an even rate until told, send the latencies."""
    import grpc

    from proto.trellis.v1 import features_pb2

    rng = random.Random(1)
    latencies_s: list[float] = []
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(
            "/trellis.v1.FeatureService/GetFeatures",
            request_serializer=features_pb2.GetFeaturesRequest.SerializeToString,
            response_deserializer=features_pb2.GetFeaturesResponse.FromString,
        )
        request = features_pb2.GetFeaturesRequest(entity_key=0, features=_FEATURES)
        call(request)
        over.send(None)
        due_s = time.perf_counter()
        while not over.poll(max(0.0, due_s - time.perf_counter())):
            request.entity_key = rng.randrange(users)
            # From when it was due, so that calls kept from being made count as late.
            call(request)
            latencies_s.append(time.perf_counter() - due_s)
            due_s += 1 / _ASKS_PER_S
    over.send(latencies_s)


def loop_lag_counts(engine: EngineProcess) -> dict[float, float]:
    """Return how often the engine's loop was late by at most so many seconds."""
    prefix = 'trellis_loop_lag_seconds_bucket{le="'
    lines = read_metrics(engine.address("metrics")).splitlines()
    found = [line.removeprefix(prefix).split('"} ') for line in lines if line.startswith(prefix)]
    return {float(limit): float(count) for limit, count in found}


def longest_lag_s(before: dict[float, float], after: dict[float, float]) -> float:
    """Return the bound of the highest bucket that anything fell into in between."""
    added = {limit: after[limit] - before.get(limit, 0.0) for limit in after}
    return min(limit for limit, count in added.items() if count == max(added.values()))


@attrs.frozen
class CpuTimes:
    """Processor time since some beginning, in seconds."""

    engine_s: float
    children_s: float
    """Of workers, their zygote and the embedded servers."""

    def __sub__(self, earlier: "CpuTimes") -> "CpuTimes":
        return CpuTimes(self.engine_s - earlier.engine_s, self.children_s - earlier.children_s)

    @classmethod
    def read(cls, pid: int) -> "CpuTimes":
        """Read those of an engine and of what it has started and is still there."""
        engine = psutil.Process(pid)
        return cls(cpu_s(engine), cpu_s(*engine.children(recursive=True)))


@attrs.frozen
class Run:
    """What one upload took. Memory in MiB above that of the idle engine.

    `load` is the machine's, of the minute before: with much else running, the processor time tells
    more than the clock.
    """

    rows: int
    size_bytes: int
    receipt_s: float
    total_s: float
    cpu: CpuTimes
    pss_growth_mib: float
    rss_growth_mib: float
    lag_s: float
    get_p99_s: float
    get_max_s: float
    load: float

    @property
    def mb_per_s(self) -> float:
        return self.size_bytes / 1e6 / self.total_s


def measure_once(path: Path, rows: int, users: int) -> Run:
    """Upload the file to a new engine with default settings.

    Raises:
      RuntimeError: not all of its rows count in the end.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        EngineProcess(Path(folder) / "data", environment={"TRELLIS_DEBUG": "memory"}) as engine,
        EngineCalls(engine) as to,
    ):
        here, there = multiprocessing.Pipe()
        asking = multiprocessing.get_context("spawn").Process(
            target=ask_for_features, args=(engine.address("service_b"), users, there), daemon=True
        )
        asking.start()
        here.recv()
        time.sleep(_IDLE_S)
        lag_before = loop_lag_counts(engine)
        header = ingest_pb2.UploadHeader(dataset="profiles", filename="profiles.ndjson")
        load, _, _ = os.getloadavg()
        cpu_before = CpuTimes.read(engine.pid)
        with MemoryWatch(engine.pid) as memory:
            started_s = time.perf_counter()
            upload_id = to.upload(header, chunks_of(path))
            receipt_s = time.perf_counter() - started_s
            upload = _wait_for_end(to, upload_id)
            total_s = time.perf_counter() - started_s
        cpu = CpuTimes.read(engine.pid) - cpu_before
        here.send(None)
        latencies_s = here.recv()
        asking.join()
        lag_s = longest_lag_s(lag_before, loop_lag_counts(engine))
        engine.stop()
    if (upload.status, upload.rows_accepted) != (ingest_pb2.UPLOAD_STATUS_COMPLETED, rows):
        raise RuntimeError(f"{rows} rows came to {upload}")
    return Run(
        rows=rows,
        size_bytes=upload.size_bytes,
        receipt_s=receipt_s,
        total_s=total_s,
        cpu=cpu,
        pss_growth_mib=memory.peak_pss_mib - memory.idle_pss_mib,
        rss_growth_mib=memory.peak_rss_mib - memory.idle_rss_mib,
        lag_s=lag_s,
        get_p99_s=percentile(latencies_s, 0.99),
        get_max_s=max(latencies_s),
        load=load,
    )


def _wait_for_end(to: EngineCalls, upload_id: str) -> ingest_pb2.Upload:
    give_up_at_s = time.monotonic() + _WAIT_S
    while (upload := to.get_upload(upload_id)).status == ingest_pb2.UPLOAD_STATUS_RECEIVED:
        if time.monotonic() > give_up_at_s:
            raise TimeoutError(f"the upload has not ended within {_WAIT_S} s")
        time.sleep(_POLL_S)
    return upload


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=100.0)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one small file, to try it")
    options = parser.parse_args()
    megabytes, runs = (5.0, 1) if options.quick else (options.megabytes, options.runs)
    print(describe_machine())
    results = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profiles.ndjson"
        rows = write_file(path, round(megabytes * 1e6), options.users, seed=1)
        for _ in range(runs):
            results.append(run := measure_once(path, rows, options.users))
            print(f"{run}", flush=True)
    print(f"{rows:,} rows of {options.users:,} users, {megabytes:,.0f} MB:")
    print(
        f"  sent to rows that count: {describe_spread([run.mb_per_s for run in results], 'MB/s')}"
    )
    print(f"  of that, to the receipt: {describe_spread([run.receipt_s for run in results], 's')}")
    engine_cpu = describe_spread([run.cpu.engine_s for run in results], "s")
    children_cpu = describe_spread([run.cpu.children_s for run in results], "s")
    print(f"  CPU time: engine {engine_cpu}, its children {children_cpu}")
    a_mb = [(run.cpu.engine_s + run.cpu.children_s) / run.size_bytes * 1e9 for run in results]
    load = describe_spread([run.load for run in results], "")
    print(f"  of both for each MB: {describe_spread(a_mb, 'ms', 0)}; load of the machine {load}")
    pss = describe_spread([run.pss_growth_mib for run in results], "MiB", 0)
    rss = describe_spread([run.rss_growth_mib for run in results], "MiB", 0)
    print(f"  engine's memory above idle: PSS {pss}, RSS {rss}")
    p99 = describe_spread([run.get_p99_s * 1e3 for run in results], "ms", 1)
    longest_ms = max(run.get_max_s for run in results) * 1e3
    print(f"  GetFeatures meanwhile: p99 {p99}, longest {longest_ms:,.1f} ms")
    lag_ms = statistics.median(run.lag_s for run in results) * 1e3
    print(f"  longest loop lag: at most {lag_ms:,.0f} ms (median of the runs)")


if __name__ == "__main__":
    main()

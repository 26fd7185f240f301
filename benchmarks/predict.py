"""Predict beside a no-op grpc.aio server and MLServer: `python -m benchmarks.predict`.

A logistic regression on ten features, one resident worker or two. The no-op server does nothing at
all; MLServer, asked for by `--mlserver`, gets its ten numbers with the call, where Trellis looks
them up by the entity's key. All are asked by the same
clients in turns, so that what else the machine does hits all alike.
"""

import argparse
import contextlib
import tempfile
from pathlib import Path

import attrs
import psutil

from benchmarks.measure import cpu_s, describe_machine, describe_spread, percentile
from benchmarks.mlserver import mlserver
from benchmarks.noop_server import noop_server
from benchmarks.peer_venv import find_python
from benchmarks.startup import fill
from benchmarks.unary_load import (
    Target,
    call_once,
    drive,
    drive_h2load,
    has_h2load,
    spread_keys,
)
from proto.trellis.v1 import features_pb2
from tests.support.engine_process import EngineProcess
from tests.support.trained_version import add_versions

CONFIGS = Path(__file__).parent / "configs"
MODEL = "ten_features"
METHOD = "/trellis.v1.FeatureService/Predict"
FEATURES = 10
_FIRST_S = 60.0
_WARM_UP_S = 2.0


@attrs.define
class Server:
    """A server under test, and what was measured of it, a sample a run."""

    name: str
    target: Target
    processes: dict[str, list[psutil.Process]]
    rates: list[float] = attrs.Factory(list)
    p50s_ms: list[float] = attrs.Factory(list)
    p99s_ms: list[float] = attrs.Factory(list)
    half_p99s_ms: list[float] = attrs.Factory(list)
    h2load_rates: list[float] = attrs.Factory(list)
    cpu_us: dict[str, list[float]] = attrs.Factory(dict)

    def measure(self, *, in_flight: int, seconds: float) -> None:
        """Ask as fast as it answers, then half as fast, then by h2load."""
        before_s = {name: cpu_s(*those) for name, those in self.processes.items()}
        rate, latencies_s = drive(self.target, in_flight=in_flight, seconds=seconds)
        for name, those in self.processes.items():
            used_us = (cpu_s(*those) - before_s[name]) / len(latencies_s) * 1e6
            self.cpu_us.setdefault(name, []).append(used_us)
        self.rates.append(rate)
        self.p50s_ms.append(percentile(latencies_s, 0.5) * 1e3)
        self.p99s_ms.append(percentile(latencies_s, 0.99) * 1e3)
        _, latencies_s = drive(
            self.target, in_flight=in_flight, seconds=seconds, calls_per_s=rate / 2
        )
        self.half_p99s_ms.append(percentile(latencies_s, 0.99) * 1e3)
        if has_h2load():
            driven = drive_h2load(self.target, in_flight=in_flight, seconds=round(seconds))
            self.h2load_rates.append(driven)

    def show(self) -> None:
        """Print the figures."""
        print(f"{self.name}: {describe_spread(self.rates, 'calls/s', 0)}")
        print(f"  p50 {describe_spread(self.p50s_ms, 'ms', 1)}")
        print(f"  p99 {describe_spread(self.p99s_ms, 'ms', 1)}")
        print(f"  p99 at half the load {describe_spread(self.half_p99s_ms, 'ms', 1)}")
        for name, used_us in self.cpu_us.items():
            print(f"  CPU of {name} {describe_spread(used_us, 'us a call', 0)}")
        if self.h2load_rates:
            print(f"  by h2load {describe_spread(self.h2load_rates, 'calls/s', 0)}")

    def show_ratio_to(self, other: "Server") -> None:
        """Print how many times as fast as the other it was."""
        ratios = [a / b for a, b in zip(self.rates, other.rates, strict=True)]
        print(f"ratio to {other.name}: {describe_spread(ratios, 'times')}")
        if self.h2load_rates:
            ratios = [a / b for a, b in zip(self.h2load_rates, other.h2load_rates, strict=True)]
            print(f"  by h2load {describe_spread(ratios, 'times')}")


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--mlserver", action="store_true")
    parser.add_argument("--peers-python", help="an interpreter that has mlserver-sklearn")
    options = parser.parse_args()
    print(describe_machine())
    requests = [
        features_pb2.PredictRequest(model=MODEL, entity_key=key)
        for key in spread_keys(options.users, options.users)
    ]
    messages = [request.SerializeToString() for request in requests]
    with contextlib.ExitStack() as running:
        data = Path(running.enter_context(tempfile.TemporaryDirectory())) / "data"
        fill(data / "trellis.duckdb", options.events, options.users)
        add_versions(data, CONFIGS, MODEL)
        settings = [
            f"workers.max_python_workers={options.workers + 1}",
            f"workers.pools={{serve: {options.workers}}}",
        ]
        engine = running.enter_context(EngineProcess(data, config_dir=CONFIGS, settings=settings))
        target = Target(engine.address("service_b"), METHOD, messages)
        call_once(target, _FIRST_S)
        drive(target, in_flight=options.in_flight, seconds=_WARM_UP_S)
        main_process = psutil.Process(engine.pid)
        children = main_process.children(recursive=True)
        scorers = [one for one in children if "serve" in " ".join(one.cmdline())]
        ours = Server("Predict", target, {"the engine": [main_process], "its workers": scorers})
        noop_address, noop_pid = running.enter_context(noop_server())
        noop = Server(
            "no-op grpc.aio server",
            attrs.evolve(target, address=noop_address),
            {"it": [psutil.Process(noop_pid)]},
        )
        servers = [ours, noop]
        if options.mlserver:
            python = find_python("serving-peers", options.peers_python)
            there = running.enter_context(mlserver(python, FEATURES))
            servers.append(Server("MLServer", there, {}))
        for _ in range(options.runs):
            for server in servers:
                server.measure(in_flight=options.in_flight, seconds=options.seconds)
        engine.stop()
    for server in servers:
        server.show()
    for server in servers[1:]:
        ours.show_ratio_to(server)


if __name__ == "__main__":
    main()

"""Predict beside a no-op grpc.aio server: `python -m benchmarks.predict`.

A logistic regression on ten features, one resident worker or two, callers that ask about entities
at random. The peer does nothing at all, in a process of its own; both are asked by the same client,
one after the other, so that what else the machine does hits both alike. On a machine that is busy
with other things only the CPU time a call means anything: two processes take part in ours.
"""

import argparse
import asyncio
import multiprocessing
import multiprocessing.connection
import tempfile
import time
from pathlib import Path

import grpc
import psutil

from benchmarks.measure import describe_machine, describe_spread, percentile
from benchmarks.startup import fill
from proto.trellis.v1 import features_pb2
from tests.support.engine_process import EngineProcess
from tests.support.trained_version import add_versions

CONFIGS = Path(__file__).parent / "configs"
MODEL = "ten_features"
METHOD = "/trellis.v1.FeatureService/Predict"
_FIRST_S = 60.0


async def serve_nothing(started: multiprocessing.connection.Connection) -> None:
    """Answer every call with an empty reply: the least that grpc.aio can do."""

    async def answer(request: object, context: object) -> features_pb2.PredictResponse:
        return features_pb2.PredictResponse()

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=features_pb2.PredictRequest.FromString,
        response_serializer=features_pb2.PredictResponse.SerializeToString,
    )
    generic = grpc.method_handlers_generic_handler(
        "trellis.v1.FeatureService", {"Predict": handler}
    )
    server.add_generic_rpc_handlers((generic,))
    started.send(server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    await server.wait_for_termination()


def run_noop_server(started: multiprocessing.connection.Connection) -> None:
    """Entry point of the peer's process."""
    asyncio.run(serve_nothing(started))


async def measure(
    address: str, *, in_flight: int, seconds: float, users: int, calls_per_s: float | None = None
) -> tuple[float, list[float]]:
    """Return calls per second and how long each took, in seconds.

    Args:
      calls_per_s: at most so many, evenly spread; None: as many as there are answers.
    """
    latencies_s: list[float] = []
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(
            METHOD,
            request_serializer=features_pb2.PredictRequest.SerializeToString,
            response_deserializer=features_pb2.PredictResponse.FromString,
        )
        began_s = time.perf_counter()
        end_s = began_s + seconds
        pause_s = 0.0 if calls_per_s is None else in_flight / calls_per_s

        async def ask(number: int) -> None:
            user = number
            due_s = began_s + pause_s * number / in_flight
            while True:
                if pause_s:
                    await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
                    due_s += pause_s
                if (started_s := time.perf_counter()) >= end_s:
                    return
                user = (user * 7919 + 13) % users
                await call(features_pb2.PredictRequest(model=MODEL, entity_key=user), timeout=30)
                latencies_s.append(time.perf_counter() - started_s)

        await asyncio.gather(*(ask(number) for number in range(in_flight)))
    return len(latencies_s) / seconds, latencies_s


def cpu_s(*processes: psutil.Process) -> float:
    """Return the CPU time that processes have used."""
    return float(sum(sum(process.cpu_times()[:2]) for process in processes))


async def wait_until_answered(address: str) -> None:
    """Return once a prediction was made: the first worker takes seconds to start."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(
            METHOD,
            request_serializer=features_pb2.PredictRequest.SerializeToString,
            response_deserializer=features_pb2.PredictResponse.FromString,
        )
        await call(features_pb2.PredictRequest(model=MODEL, entity_key=1), timeout=_FIRST_S)


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    print(describe_machine())
    ours, theirs, p50s, p99s, half_p99s = [], [], [], [], []
    our_cpu_us, worker_cpu_us, their_cpu_us = [], [], []
    receiving, sending = multiprocessing.Pipe(duplex=False)
    peer = multiprocessing.get_context("spawn").Process(
        target=run_noop_server, args=(sending,), daemon=True
    )
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        fill(data / "trellis.duckdb", options.events, options.users)
        add_versions(data, CONFIGS, MODEL)
        peer.start()
        noop = f"127.0.0.1:{receiving.recv()}"
        settings = [
            f"workers.max_python_workers={options.workers + 1}",
            f"workers.pools={{serve: {options.workers}}}",
        ]
        with EngineProcess(data, config_dir=CONFIGS, settings=settings) as engine:
            address = engine.address("service_b")
            asyncio.run(wait_until_answered(address))
            load = {
                "in_flight": options.in_flight,
                "seconds": options.seconds,
                "users": options.users,
            }
            asyncio.run(measure(address, **{**load, "seconds": 2.0}))
            main = psutil.Process(engine.pid)
            scorers = [one for one in main.children(recursive=True) if "serve" in one.name()]
            idle = psutil.Process(peer.pid)
            for _ in range(options.runs):
                used_s, scored_s = cpu_s(main), cpu_s(*scorers)
                rate, latencies_s = asyncio.run(measure(address, **load))
                our_cpu_us.append((cpu_s(main) - used_s) / len(latencies_s) * 1e6)
                worker_cpu_us.append((cpu_s(*scorers) - scored_s) / len(latencies_s) * 1e6)
                ours.append(rate)
                p50s.append(percentile(latencies_s, 0.5) * 1e3)
                p99s.append(percentile(latencies_s, 0.99) * 1e3)
                used_s = cpu_s(idle)
                rate_of_peer, answered_s = asyncio.run(measure(noop, **load))
                their_cpu_us.append((cpu_s(idle) - used_s) / len(answered_s) * 1e6)
                theirs.append(rate_of_peer)
                _, latencies_s = asyncio.run(measure(address, **load, calls_per_s=rate / 2))
                half_p99s.append(percentile(latencies_s, 0.99) * 1e3)
            engine.stop()
        peer.terminate()
    print(f"Predict, ten features: {describe_spread(ours, 'calls/s', 0)}")
    print(f"  p50 {describe_spread(p50s, 'ms', 1)}")
    print(f"  p99 {describe_spread(p99s, 'ms', 1)}")
    print(f"  p99 at half the load {describe_spread(half_p99s, 'ms', 1)}")
    print(f"  CPU of the engine {describe_spread(our_cpu_us, 'us a call', 0)}")
    print(f"  CPU of its workers {describe_spread(worker_cpu_us, 'us a call', 0)}")
    print(f"no-op grpc.aio server: {describe_spread(theirs, 'calls/s', 0)}")
    print(f"  CPU {describe_spread(their_cpu_us, 'us a call', 0)}")
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(f"ratio: {describe_spread(ratios, 'times')}")


if __name__ == "__main__":
    main()

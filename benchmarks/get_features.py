"""GetFeatures beside a no-op grpc.aio server: `python -m benchmarks.get_features`."""

import argparse
import asyncio
import multiprocessing
import multiprocessing.connection
import tempfile
import time
from pathlib import Path

import grpc

from benchmarks.measure import describe_machine, describe_spread, percentile
from benchmarks.startup import fill
from proto.trellis.v1 import features_pb2
from tests.support.engine_process import EngineProcess

CONFIGS = Path(__file__).parent / "configs"
METHOD = "/trellis.v1.FeatureService/GetFeatures"


async def serve_nothing(started: multiprocessing.connection.Connection) -> None:
    """Answer every call with an empty reply: the least that grpc.aio can do."""

    async def answer(request: object, context: object) -> features_pb2.GetFeaturesResponse:
        return features_pb2.GetFeaturesResponse()

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=features_pb2.GetFeaturesRequest.FromString,
        response_serializer=features_pb2.GetFeaturesResponse.SerializeToString,
    )
    generic = grpc.method_handlers_generic_handler(
        "trellis.v1.FeatureService", {"GetFeatures": handler}
    )
    server.add_generic_rpc_handlers((generic,))
    started.send(server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    await server.wait_for_termination()


def run_noop_server(started: multiprocessing.connection.Connection) -> None:
    """Entry point of the peer's process."""
    asyncio.run(serve_nothing(started))


async def measure(
    address: str, *, in_flight: int, seconds: float, users: int
) -> tuple[float, float]:
    """Return calls per second and p99 in seconds."""
    latencies_s: list[float] = []
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(
            METHOD,
            request_serializer=features_pb2.GetFeaturesRequest.SerializeToString,
            response_deserializer=features_pb2.GetFeaturesResponse.FromString,
        )
        end_s = time.perf_counter() + seconds

        async def ask(number: int) -> None:
            user = number
            while (started_s := time.perf_counter()) < end_s:
                user = (user * 7919 + 13) % users
                await call(features_pb2.GetFeaturesRequest(model="ten_features", entity_key=user))
                latencies_s.append(time.perf_counter() - started_s)

        await asyncio.gather(*(ask(number) for number in range(in_flight)))
    return len(latencies_s) / seconds, percentile(latencies_s, 0.99)


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--users", type=int, default=20_000)
    options = parser.parse_args()
    print(describe_machine())
    ours, theirs, p99s = [], [], []
    receiving, sending = multiprocessing.Pipe(duplex=False)
    peer = multiprocessing.get_context("spawn").Process(
        target=run_noop_server, args=(sending,), daemon=True
    )
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        fill(data / "trellis.duckdb", options.events, options.users)
        peer.start()
        noop = f"127.0.0.1:{receiving.recv()}"
        with EngineProcess(data, config_dir=CONFIGS) as engine:
            settings = {
                "in_flight": options.in_flight,
                "seconds": options.seconds,
                "users": options.users,
            }
            for _ in range(options.runs):
                rate, p99_s = asyncio.run(measure(engine.address("service_b"), **settings))
                ours.append(rate)
                p99s.append(p99_s * 1e3)
                theirs.append(asyncio.run(measure(noop, **settings))[0])
            engine.stop()
        peer.terminate()
    print(f"GetFeatures, ten features: {describe_spread(ours, 'calls/s', 0)}")
    print(f"  p99 {describe_spread(p99s, 'ms', 1)}")
    print(f"no-op grpc.aio server: {describe_spread(theirs, 'calls/s', 0)}")
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(f"ratio: {describe_spread(ratios, 'times')}")


if __name__ == "__main__":
    main()

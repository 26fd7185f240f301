"""Produced to visible in GetFeatures under load: `python -m benchmarks.freshness`."""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import grpc
import msgspec
from aiokafka import AIOKafkaProducer

from benchmarks.measure import describe_machine, percentile
from benchmarks.produce import PARTITIONS, TOPIC
from proto.trellis.v1 import features_pb2
from tests.support.engine_process import EngineProcess

CONFIGS = Path(__file__).parent / "configs"
FIRST_PROBE_USER = 1_000_000_000
TICK_S = 0.02
POLL_S = 0.005
"""Asking all the time would measure the asking."""


async def load(producer: AIOKafkaProducer, per_second: int, users: int, seconds: float) -> int:
    """Send background events at an even rate and return how many were sent."""
    encode = msgspec.json.Encoder().encode
    per_tick = round(per_second * TICK_S)
    started_s = time.perf_counter()
    sent = tick = 0
    while (elapsed_s := time.perf_counter() - started_s) < seconds:
        batch = producer.create_batch()
        now_s = time.time()
        for number in range(per_tick):
            event = {"user_id": (sent + number) % users, "action": "view", "timestamp": now_s}
            batch.append(key=None, value=encode(event), timestamp=None)
        batch.close()
        await producer.send_batch(batch, TOPIC, partition=tick % PARTITIONS)
        sent += per_tick
        tick += 1
        await asyncio.sleep(max(0.0, tick * TICK_S - elapsed_s))
    return sent


async def probe(
    producer: AIOKafkaProducer, address: str, first_user: int, seconds: float
) -> list[float]:
    """Send one event of a new user at a time; return the times until its click is counted."""
    latencies_s = []
    async with grpc.aio.insecure_channel(address) as channel:
        get = channel.unary_unary(
            "/trellis.v1.FeatureService/GetFeatures",
            request_serializer=features_pb2.GetFeaturesRequest.SerializeToString,
            response_deserializer=features_pb2.GetFeaturesResponse.FromString,
        )
        user = first_user
        end_s = time.perf_counter() + seconds
        while time.perf_counter() < end_s:
            user += 1
            started_s = time.perf_counter()
            event = {"user_id": user, "action": "click", "timestamp": time.time()}
            await producer.send(TOPIC, msgspec.json.encode(event))
            request = features_pb2.GetFeaturesRequest(entity_key=user, features=["clicks_5m"])
            while (await get(request)).features[0].int64_value != 1:  # noqa: ASYNC110 - polling is measured
                await asyncio.sleep(POLL_S)
            latencies_s.append(time.perf_counter() - started_s)
    return latencies_s


async def measure(engine: EngineProcess, options: argparse.Namespace) -> tuple[int, list[float]]:
    """Run load and probes side by side."""
    servers = str(engine.ready["kafka"])
    producer = AIOKafkaProducer(bootstrap_servers=servers, max_batch_size=1 << 18)
    # Probes have a producer of their own, or they would queue behind whole load batches.
    prober = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    await prober.start()
    try:
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(load(producer, options.rate, 100_000, options.seconds))
            probes = [
                group.create_task(
                    probe(
                        prober,
                        engine.address("service_b"),
                        FIRST_PROBE_USER * (n + 1),
                        options.seconds,
                    )
                )
                for n in range(4)
            ]
        return sending.result(), [latency for task in probes for latency in task.result()]
    finally:
        await producer.stop()
        await prober.stop()


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=10_000, help="background events per second")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    print(describe_machine())
    with (
        tempfile.TemporaryDirectory() as folder,
        EngineProcess(Path(folder) / "data", config_dir=CONFIGS) as engine,
    ):
        sent, latencies_s = asyncio.run(measure(engine, options))
        engine.stop()
    print(
        f"{sent / options.seconds:,.0f} events/s beside {len(latencies_s)} probes: "
        f"median {statistics.median(latencies_s) * 1e3:.1f} ms, "
        f"p99 {percentile(latencies_s, 0.99) * 1e3:.1f} ms, max {max(latencies_s) * 1e3:.1f} ms"
    )


if __name__ == "__main__":
    main()

"""Trellis' transport beside grpc.aio and grpcio, in one run: `python benchmarks/grpc/compare.py`.

Servers run one at a time on core 0, clients on core 1; rounds are interleaved and medians taken,
so that what else the machine does hits all alike. Only ratios mean anything.
"""

import argparse
import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from google.protobuf.wrappers_pb2 import BytesValue

SERVICE = "trellis.bench.Echo"
KINDS = ("trellis", "aio", "grpcio")
PAYLOAD = b"x" * 24
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@contextmanager
def running(kind: str) -> Iterator[tuple[int, int]]:
    """Yield (pid, port) of a fresh server on core 0."""
    script = Path(__file__).with_name("servers.py")
    process = subprocess.Popen(
        ["taskset", "-c", "0", sys.executable, str(script), kind], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def cpu_s(pid: int) -> float:
    """CPU time of all threads; the scheduler's count, which is in nanoseconds."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def cpu_per_call(kind: str, *, method: str, calls: int, unique: bool) -> float:
    """Server CPU in µs per unary call under a grpc.aio client with 50 in flight."""

    async def drive(port: int, count: int) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary(
                f"/{SERVICE}/{method}",
                request_serializer=BytesValue.SerializeToString,
                response_deserializer=BytesValue.FromString,
            )
            message = BytesValue(value=PAYLOAD)
            remaining = iter(range(count))

            async def worker() -> None:
                for _ in remaining:
                    if unique:
                        metadata = (("x-request-id", uuid.uuid4().hex),)
                        await call(message, timeout=10, metadata=metadata)
                    else:
                        await call(message)

            await asyncio.gather(*(worker() for _ in range(50)))

    with running(kind) as (pid, port):
        asyncio.run(drive(port, 500))
        before = cpu_s(pid)
        asyncio.run(drive(port, calls))
        return (cpu_s(pid) - before) / calls * 1e6


def h2load_rate(kind: str, *, clients: int, streams: int, seconds: int) -> float:
    """Requests a second under h2load."""
    message = BytesValue(value=PAYLOAD).SerializeToString()
    with running(kind) as (_, port), tempfile.NamedTemporaryFile() as body:
        body.write(b"\0" + len(message).to_bytes(4, "big") + message)
        body.flush()
        output = subprocess.run(
            [
                *("taskset", "-c", "1", "h2load", "-c", str(clients), "-m", str(streams)),
                *("-D", str(seconds), "--warm-up-time=1", "-d", body.name),
                *("-H", "content-type: application/grpc", "-H", "te: trailers"),
                f"http://127.0.0.1:{port}/{SERVICE}/Echo",
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    return float(re.search(r"([\d.]+) req/s", output)[1])


def stream_rate(kind: str, *, mebibytes: int, upload: bool) -> tuple[float, float]:
    """(MiB/s, peak MiB of the server) for messages of 1 MiB under a grpcio client."""
    codec = {
        "request_serializer": BytesValue.SerializeToString,
        "response_deserializer": BytesValue.FromString,
    }
    with (
        running(kind) as (pid, port),
        grpc.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel,
    ):
        began = time.perf_counter()
        if upload:
            message = BytesValue(value=bytes(1 << 20))
            collect = channel.stream_unary(f"/{SERVICE}/Collect", **codec)
            reply = collect(message for _ in range(mebibytes))
            assert int(reply.value) == mebibytes << 20
        else:
            many = channel.unary_stream(f"/{SERVICE}/Many", **codec)
            replies = many(BytesValue(value=str(mebibytes).encode()))
            assert sum(1 for _ in replies) == mebibytes
        return mebibytes / (time.perf_counter() - began), peak_mib(pid)


def compare(
    title: str, measure: Callable[[str], float], rounds: int, kinds: tuple[str, ...], unit: str
) -> None:
    results: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind in kinds:
            results[kind].append(measure(kind))
    medians = {kind: statistics.median(values) for kind, values in results.items()}
    columns = "  ".join(
        f"{kind} {medians[kind]:9.1f} ({min(results[kind]):.0f}-{max(results[kind]):.0f})"
        for kind in kinds
    )
    ratios = "  ".join(f"/{kind} {medians['trellis'] / medians[kind]:.2f}" for kind in kinds[1:])
    print(f"{title:34} {unit:7} {columns}  {ratios}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=4_000)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--stream-mib", type=int, default=256)
    parser.add_argument("--only", default="", help="run what has this text in its title")
    args = parser.parse_args()
    os.sched_setaffinity(0, {1})
    cases: list[tuple[str, Callable[[str], float], tuple[str, ...], str]] = [
        (
            "server CPU, unary, 50 in flight",
            lambda kind: cpu_per_call(kind, method="Echo", calls=args.calls, unique=False),
            KINDS,
            "µs",
        ),
        (
            "server CPU, timeout and unique id",
            lambda kind: cpu_per_call(kind, method="Echo", calls=args.calls, unique=True),
            KINDS,
            "µs",
        ),
        (
            "server CPU, suspending handler",
            lambda kind: cpu_per_call(kind, method="Suspend", calls=args.calls, unique=False),
            KINDS,
            "µs",
        ),
        (
            "stream down, 1 MiB messages",
            lambda kind: stream_rate(kind, mebibytes=args.stream_mib, upload=False)[0],
            KINDS,
            "MiB/s",
        ),
        (
            "stream up, 1 MiB messages",
            lambda kind: stream_rate(kind, mebibytes=args.stream_mib, upload=True)[0],
            KINDS,
            "MiB/s",
        ),
        (
            "peak memory, stream up",
            lambda kind: stream_rate(kind, mebibytes=args.stream_mib, upload=True)[1],
            KINDS,
            "MiB",
        ),
    ]
    if shutil.which("h2load"):
        for clients, streams in ((1, 1), (1, 100), (16, 10)):
            cases.append(
                (
                    f"h2load {clients}x{streams}",
                    lambda kind, clients=clients, streams=streams: h2load_rate(
                        kind, clients=clients, streams=streams, seconds=args.seconds
                    ),
                    KINDS,
                    "req/s",
                )
            )
    for title, measure, kinds, unit in cases:
        if args.only in title:
            compare(title, measure, args.rounds, kinds, unit)


if __name__ == "__main__":
    main()

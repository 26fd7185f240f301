"""Trellis' transport under strain: `python benchmarks/grpc/strain.py [overload|attack|soak]`.

overload: a handler of 1 ms CPU at half, one and two times what it can sustain, open loop.
attack: the p99 of a well-behaved client, alone and beside floods, slowloris and idle crowds.
soak: full rate for a while; memory and descriptors before and after.
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import purerpc
import trio
from compare import SERVICE, cpu_s, running
from google.protobuf.wrappers_pb2 import BytesValue

from engine.rpc.client import Channel, ChannelOptions, open_channel
from engine.rpc.http2 import frames
from tests.support.raw_peer import (
    frame,
    message,
    raw_peer,
    request_headers,
)

MESSAGE = BytesValue(value=b"x" * 24)


def quantile_ms(times: list[float], percent: int) -> float:
    return statistics.quantiles(times, n=100)[percent - 1] * 1e3 if len(times) > 1 else 0.0


async def overload(port: int) -> None:
    """Offer calls at fixed times, whatever becomes of those before."""
    for share in (0.5, 1.0, 2.0):
        accepted: list[float] = []
        shed = 0
        rate = 900 * share
        async with open_channel("127.0.0.1", port, ChannelOptions(timeout_s=10)) as channel:
            await channel.wait_ready(5)

            async def call(channel: Channel = channel, accepted: list[float] = accepted) -> None:
                nonlocal shed
                began = trio.current_time()
                try:
                    await channel.unary_unary(f"/{SERVICE}/Burn", MESSAGE, BytesValue)
                except purerpc.ResourceExhaustedError:
                    shed += 1
                else:
                    accepted.append(trio.current_time() - began)

            async with trio.open_nursery() as nursery:
                start = trio.current_time()
                for number in range(int(rate * 5)):
                    await trio.sleep_until(start + number / rate)
                    nursery.start_soon(call)
        print(
            f"overload {share:.1f}x: accepted {len(accepted) / 5:6.0f}/s, shed {shed / 5:6.0f}/s, "
            f"p50 {quantile_ms(accepted, 50):6.1f} ms, p99 {quantile_ms(accepted, 99):6.1f} ms",
            flush=True,
        )


async def attack(port: int) -> None:
    """Attackers are a process of their own on the client's core."""

    async def measure(title: str) -> None:
        times = []
        async with open_channel("127.0.0.1", port) as channel:
            await channel.wait_ready(5)
            for _ in range(1_000):
                began = trio.current_time()
                await channel.unary_unary(f"/{SERVICE}/Echo", MESSAGE, BytesValue)
                times.append(trio.current_time() - began)
        p50, p99 = quantile_ms(times, 50), quantile_ms(times, 99)
        print(f"attack {title:12} p50 {p50:.2f} ms, p99 {p99:.2f} ms", flush=True)

    await measure("none")
    for kind in ("pings", "resets", "garbage", "slowloris", "idle", "none"):
        attackers = subprocess.Popen(  # noqa: ASYNC220 - starting it takes a moment only
            ["taskset", "-c", "1", sys.executable, __file__, "attacker", str(port), kind]
        )
        await trio.sleep(2)
        await measure(kind)
        attackers.kill()
        attackers.wait()


async def attacker(port: int, kind: str) -> None:
    """Break the rules as fast as the server allows."""
    reset = frame(frames.RST_STREAM, 0, 1, bytes(4))

    async def flood(data: bytes, pause_s: float) -> None:
        while True:
            async with raw_peer(port) as peer:
                for _ in range(10):
                    await peer.send(data)
                    await trio.sleep(pause_s)

    async def hold(data: bytes) -> None:
        while True:
            async with raw_peer(port) as peer:
                await peer.send(data)
                await trio.sleep(3_600)

    path = f"/{SERVICE}/Echo".encode()
    body = request_headers(1, path) + frame(frames.DATA, 1, 1, message(b"x"))
    attacks: dict[str, tuple[int, Callable[[], Awaitable[None]]]] = {
        "none": (0, trio.sleep_forever),
        "pings": (4, lambda: flood(frame(frames.PING, 0, 0, bytes(8)) * 1_000, 0.01)),
        "resets": (4, lambda: flood((body + reset) * 50, 0.01)),
        "garbage": (4, lambda: flood(bytes(1_000), 0.01)),
        "slowloris": (300, lambda: hold(request_headers(1, path)[:-3])),
        "idle": (700, lambda: hold(b"")),
    }
    count, run = attacks[kind]
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(run)


async def soak(port: int, pid: int, seconds: float) -> None:
    def state() -> str:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return f"{pages * os.sysconf('SC_PAGE_SIZE') / 2**20:.1f} MiB, {descriptors} descriptors"

    calls = 0
    async with open_channel("127.0.0.1", port) as channel:
        await channel.wait_ready(5)

        async def work() -> None:
            nonlocal calls
            while True:
                await channel.unary_unary(f"/{SERVICE}/Echo", MESSAGE, BytesValue)
                calls += 1

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(work)
            for tenth in range(11):
                print(f"soak {tenth * seconds / 10:5.0f} s: {state()}, {calls} calls", flush=True)
                await trio.sleep(seconds / 10)
            nursery.cancel_scope.cancel()
    print(f"soak: server used {cpu_s(pid) / calls * 1e6:.0f} µs CPU a call")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", default="all")
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--seconds", type=float, default=600)
    args = parser.parse_args()
    if args.what == "attacker":
        trio.run(attacker, int(args.rest[0]), args.rest[1])
        return
    os.sched_setaffinity(0, {1})
    with running("trellis") as (pid, port):
        if args.what in ("overload", "all"):
            trio.run(overload, port)
        if args.what in ("attack", "all"):
            trio.run(attack, port)
        if args.what in ("soak", "all"):
            trio.run(soak, port, pid, args.seconds)


if __name__ == "__main__":
    main()

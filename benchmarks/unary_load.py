"""Unary gRPC calls at a server, as many or as fast as wanted, by a grpc.aio client or by h2load.

Messages are encoded beforehand and replies are not decoded, so that the client, which takes its
share of the same processors, costs as little as it can.
"""

import asyncio
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence

import attrs
import grpc

_CALL_S = 30.0
_WARM_UP_S = 1
_STEP = 7_919
"""A prime, so that it leads to every user."""


@attrs.frozen
class Target:
    """A method of a server, and what it is called with, in turns."""

    address: str
    method: str
    """Its path: /package.Service/Method."""
    messages: Sequence[bytes]


def spread_keys(count: int, users: int) -> list[int]:
    """Return keys of entities, each far from the one before, so that none is warm by its neighbour.

    Args:
      count: how many; the same users come again after all have been.
      users: how many there are, from 0; not a multiple of the step.
    """
    return [number * _STEP % users for number in range(1, count + 1)]


def call_once(target: Target, timeout_s: float) -> bytes:
    """Return the answer to the first message."""
    with grpc.insecure_channel(target.address) as channel:
        call = channel.unary_unary(target.method)
        answer: bytes = call(target.messages[0], timeout=timeout_s, wait_for_ready=True)
        return answer


def drive(
    target: Target, *, in_flight: int, seconds: float, calls_per_s: float | None = None
) -> tuple[float, list[float]]:
    """Return calls per second, and how long each took, in seconds.

    Args:
      calls_per_s: at most so many, evenly spread; None: as many as there are answers.
    """
    return asyncio.run(_drive(target, in_flight, seconds, calls_per_s))


async def _drive(
    target: Target, in_flight: int, seconds: float, calls_per_s: float | None
) -> tuple[float, list[float]]:
    latencies_s: list[float] = []
    async with grpc.aio.insecure_channel(target.address) as channel:
        call = channel.unary_unary(target.method)
        began_s = time.perf_counter()
        end_s = began_s + seconds
        pause_s = 0.0 if calls_per_s is None else in_flight / calls_per_s

        async def ask(number: int) -> None:
            due_s = began_s + pause_s * number / in_flight
            turn = number
            while True:
                if pause_s:
                    await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
                    due_s += pause_s
                if (started_s := time.perf_counter()) >= end_s:
                    return
                turn += in_flight
                await call(target.messages[turn % len(target.messages)], timeout=_CALL_S)
                latencies_s.append(time.perf_counter() - started_s)

        await asyncio.gather(*(ask(number) for number in range(in_flight)))
    return len(latencies_s) / seconds, latencies_s


def has_h2load() -> bool:
    """Return whether nghttp2's load generator is there, a client that costs next to nothing."""
    return shutil.which("h2load") is not None


def drive_h2load(target: Target, *, in_flight: int, seconds: int) -> float:
    """Return calls per second over one connection, all with the first message.

    Raises:
      RuntimeError: calls failed.
    """
    message = target.messages[0]
    with tempfile.NamedTemporaryFile() as body:
        body.write(b"\0" + len(message).to_bytes(4, "big") + message)
        body.flush()
        said = subprocess.run(
            [
                *("h2load", "-c", "1", "-m", str(in_flight), "-D", str(seconds)),
                *(f"--warm-up-time={_WARM_UP_S}", "-d", body.name),
                *("-H", "content-type: application/grpc", "-H", "te: trailers"),
                f"http://{target.address}{target.method}",
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    found = re.search(r"([\d.]+) req/s", said)
    if found is None or not re.search(r"\b0 failed, 0 errored, 0 timeout", said):
        raise RuntimeError(f"h2load says: {said}")
    return float(found[1])

"""More calls than a server can serve: the rest is refused early, those accepted end in time."""

import statistics
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import purerpc
import trio
from google.protobuf.wrappers_pb2 import BytesValue

from engine.rpc.client import open_channel
from tests.support.engine_process import ROOT

BURN_S = 0.01
OFFERED_PER_S = 2 / BURN_S
SECONDS = 3
P99_S = 1.5
"""A queue without a bound would make the last of them wait for as long as the whole test takes."""

SERVER = f"""
import time
import trio
from google.protobuf.wrappers_pb2 import BytesValue
from purerpc import Cardinality, RPCSignature, Service
from engine.health import HealthBoard
from engine.rpc import serve

class Burner:
    @property
    def service(self):
        service = Service("test.Burner")
        signature = RPCSignature(Cardinality.UNARY_UNARY, BytesValue, BytesValue)
        service.add_method("Burn", self.burn, signature)
        return service

    async def burn(self, message):
        end = time.thread_time() + {BURN_S}
        while time.thread_time() < end:
            pass
        return message

async def main():
    async with trio.open_nursery() as nursery:
        async def run(task_status):
            await serve([Burner()], port=0, setting="port", board=HealthBoard(),
                        stop=trio.Event(), grace_s=1, task_status=task_status)
        print((await nursery.start(run)).port, flush=True)

trio.run(main)
"""


@asynccontextmanager
async def burner() -> AsyncIterator[int]:
    """Run the server as a process of its own, so that it does not share the clients' loop."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    try:
        with trio.fail_after(20):
            yield int(await process.stdout.receive_some())
    finally:
        process.kill()
        await process.wait()
        await process.stdout.aclose()


async def test_at_twice_the_sustainable_load_accepted_calls_end_in_time() -> None:
    accepted_s: list[float] = []
    shed: list[str] = []

    async with burner() as port, open_channel("127.0.0.1", port) as channel:

        async def call() -> None:
            began_s = trio.current_time()
            try:
                await channel.unary_unary("/test.Burner/Burn", BytesValue(), BytesValue)
            except purerpc.ResourceExhaustedError as error:
                shed.append(str(error))
            else:
                accepted_s.append(trio.current_time() - began_s)

        await channel.wait_ready(10)
        async with trio.open_nursery() as nursery:
            start_s = trio.current_time()
            for number in range(int(OFFERED_PER_S * SECONDS)):
                await trio.sleep_until(start_s + number / OFFERED_PER_S)
                nursery.start_soon(call)
        assert len(accepted_s) + len(shed) == int(OFFERED_PER_S * SECONDS)
        assert "retry after" in shed[0]
        assert len(accepted_s) > 50
        assert statistics.quantiles(accepted_s, n=100)[98] < P99_S

        shed.clear()
        with trio.fail_after(10):
            while True:
                await call()
                if not shed:
                    break
                shed.clear()
                await trio.sleep(0.1)

"""What the Console costs, and how soon it is there: `python -m benchmarks.console`.

Needs Chromium. First paint and bytes by fresh profiles; the engine's processor time with one page
open and with none, in turns, under the demo's traffic; `GetFeatures` with a hundred pages open and
with none, in turns, at a rate that leaves the processors time, since both sides run on them.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import psutil
from playwright.sync_api import Browser

from benchmarks.measure import describe_machine, describe_spread, percentile
from benchmarks.startup import fill
from benchmarks.unary_load import Target, drive, spread_keys
from proto.trellis.v1 import features_pb2
from tests.support.console_browser import open_browser, visiting
from tests.support.engine_process import ROOT, EngineProcess

CONFIGS = Path(__file__).parent / "configs"
METHOD = "/trellis.v1.FeatureService/GetFeatures"
_EVENTS = 500_000
_USERS = 20_000
_IN_FLIGHT = 8
_SETTLE_S = 2.0
"""After pages came or went, before anything is measured."""
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
_BYTES = "performance.getEntries().reduce((sum, one) => sum + (one.transferSize ?? 0), 0)"
_REQUESTS = "performance.getEntriesByType('resource').length + 1"


@attrs.define
class Loads:
    """Of fresh profiles."""

    paints_ms: list[float] = attrs.Factory(list)
    drawn_ms: list[float] = attrs.Factory(list)
    sizes_kb: list[float] = attrs.Factory(list)
    requests: int = 0


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=int, default=20)
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--calls-per-s", type=float, default=400.0)
    options = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        with demo_engine(Path(folder) / "demo") as engine, open_browser() as browser:
            loads = load_pages(browser, engine.address("metrics"), options.loads)
            print(f"first paint: {describe_spread(loads.paints_ms, 'ms', 0)}")
            print(f"the overview drawn: {describe_spread(loads.drawn_ms, 'ms', 0)}")
            sizes = describe_spread(loads.sizes_kb, "KB", 1)
            print(f"sent until then: {sizes} in {loads.requests} requests")
            shares = share_of_core(engine, browser, options.turns, options.seconds)
        for name, samples in shares.items():
            print(f"engine's processor, {name}: {describe_spread(samples, '% of a core')}")
        with filled_engine(Path(folder) / "filled") as engine:
            without, among = call_beside_pages(
                engine, options.pages, options.turns, options.seconds, options.calls_per_s
            )
        print(f"GetFeatures at {options.calls_per_s:g}/s, p99: {describe_spread(without, 'ms')}")
        print(f"beside {options.pages} pages, p99: {describe_spread(among, 'ms')}")
        ratios = [b / a for a, b in zip(without, among, strict=True)]
        print(f"ratio: {describe_spread(ratios, 'times')}")


@contextmanager
def demo_engine(data: Path) -> Iterator[EngineProcess]:
    """Run the engine with the demo's traffic until its workers have started."""
    with EngineProcess(data, config_dir=ROOT / "configs", arguments=("--demo",)) as engine:
        time.sleep(10 * _SETTLE_S)
        yield engine


@contextmanager
def filled_engine(data: Path) -> Iterator[EngineProcess]:
    """Run the engine on a history of events, without traffic."""
    fill(data / "trellis.duckdb", _EVENTS, _USERS)
    with EngineProcess(data, config_dir=CONFIGS) as engine:
        time.sleep(5 * _SETTLE_S)
        yield engine


def load_pages(browser: Browser, address: str, loads: int) -> Loads:
    """Open the overview in fresh profiles, one after the other."""
    found = Loads()
    for _ in range(loads):
        with visiting(browser, address) as visit:
            began_s = time.perf_counter()
            visit.go("overview")
            found.drawn_ms.append((time.perf_counter() - began_s) * 1e3)
            found.paints_ms.append(float(visit.page.evaluate(_PAINT)))
            found.sizes_kb.append(float(visit.page.evaluate(_BYTES)) / 1e3)
            found.requests = int(visit.page.evaluate(_REQUESTS))
    return found


def share_of_core(
    engine: EngineProcess, browser: Browser, turns: int, seconds: float
) -> dict[str, list[float]]:
    """Return the engine's share of a core in percent, by what was open, and what a page adds."""
    process = psutil.Process(engine.pid)

    def sample() -> float:
        time.sleep(_SETTLE_S)
        before, began_s = process.cpu_times(), time.perf_counter()
        time.sleep(seconds)
        after, elapsed_s = process.cpu_times(), time.perf_counter() - began_s
        return (after.user + after.system - before.user - before.system) / elapsed_s * 100

    shares: dict[str, list[float]] = {"no page": [], "one page": [], "difference": []}
    for turn in range(turns):
        # What the demo does changes with time: each turn begins with the other side.
        for is_open in (turn % 2 == 0, turn % 2 != 0):
            if is_open:
                with visiting(browser, engine.address("metrics")) as visit:
                    visit.go("overview")
                    shares["one page"].append(sample())
            else:
                shares["no page"].append(sample())
        shares["difference"].append(shares["one page"][-1] - shares["no page"][-1])
    return shares


def call_beside_pages(
    engine: EngineProcess, pages: int, turns: int, seconds: float, calls_per_s: float
) -> tuple[list[float], list[float]]:
    """Return p99 in milliseconds by turn, without pages and with them."""
    messages = [
        features_pb2.GetFeaturesRequest(model="ten_features", entity_key=key).SerializeToString()
        for key in spread_keys(_USERS, _USERS)
    ]
    target = Target(engine.address("service_b"), METHOD, messages)

    def sample() -> float:
        time.sleep(_SETTLE_S)
        _, latencies_s = drive(
            target, in_flight=_IN_FLIGHT, seconds=seconds, calls_per_s=calls_per_s
        )
        return percentile(latencies_s, 0.99) * 1e3

    without: list[float] = []
    among: list[float] = []
    drive(target, in_flight=_IN_FLIGHT, seconds=_SETTLE_S, calls_per_s=calls_per_s)
    for turn in range(turns):
        for is_open in (turn % 2 == 0, turn % 2 != 0):
            if is_open:
                with open_pages(engine.address("metrics"), pages):
                    among.append(sample())
            else:
                without.append(sample())
    return without, among


@contextmanager
def open_pages(address: str, count: int) -> Iterator[None]:
    """Have so many pages open, in a process that takes no time from what is measured."""
    readers_of = ["-m", "benchmarks.console_readers", address, str(count)]
    command = ["nice", "-n", "19", sys.executable, *readers_of]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as readers:
        assert readers.stdin is not None
        assert readers.stdout is not None
        try:
            if readers.stdout.readline() != "open\n":
                raise RuntimeError("the pages did not open")
            yield
            if readers.poll() is not None:
                raise RuntimeError("the pages did not stay open")
        finally:
            readers.stdin.close()


if __name__ == "__main__":
    main()

"""GetFeatures beside a no-op grpc.aio server: `python -m benchmarks.get_features`."""

import argparse
import tempfile
from pathlib import Path

import attrs

from benchmarks.measure import describe_machine, describe_spread, percentile
from benchmarks.noop_server import noop_server
from benchmarks.startup import fill
from benchmarks.unary_load import Target, drive, drive_h2load, has_h2load, spread_keys
from proto.trellis.v1 import features_pb2
from tests.support.engine_process import EngineProcess

CONFIGS = Path(__file__).parent / "configs"
METHOD = "/trellis.v1.FeatureService/GetFeatures"


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
    requests = [
        features_pb2.GetFeaturesRequest(model="ten_features", entity_key=key)
        for key in spread_keys(options.users, options.users)
    ]
    messages = [request.SerializeToString() for request in requests]
    ours, theirs, p99s, ours_h2load, theirs_h2load = [], [], [], [], []
    load = {"in_flight": options.in_flight, "seconds": options.seconds}
    h2load = {"in_flight": options.in_flight, "seconds": round(options.seconds)}
    with tempfile.TemporaryDirectory() as folder, noop_server() as (address, _):
        data = Path(folder) / "data"
        fill(data / "trellis.duckdb", options.events, options.users)
        with EngineProcess(data, config_dir=CONFIGS) as engine:
            target = Target(engine.address("service_b"), METHOD, messages)
            noop = attrs.evolve(target, address=address)
            for _ in range(options.runs):
                rate, latencies_s = drive(target, **load)
                ours.append(rate)
                p99s.append(percentile(latencies_s, 0.99) * 1e3)
                theirs.append(drive(noop, **load)[0])
                if has_h2load():
                    ours_h2load.append(drive_h2load(target, **h2load))
                    theirs_h2load.append(drive_h2load(noop, **h2load))
            engine.stop()
    print(f"GetFeatures, ten features: {describe_spread(ours, 'calls/s', 0)}")
    print(f"  p99 {describe_spread(p99s, 'ms', 1)}")
    print(f"no-op grpc.aio server: {describe_spread(theirs, 'calls/s', 0)}")
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(f"ratio: {describe_spread(ratios, 'times')}")
    if ours_h2load:
        print(f"by h2load: {describe_spread(ours_h2load, 'calls/s', 0)}")
        print(f"no-op grpc.aio server by h2load: {describe_spread(theirs_h2load, 'calls/s', 0)}")
        ratios = [a / b for a, b in zip(ours_h2load, theirs_h2load, strict=True)]
        print(f"ratio by h2load: {describe_spread(ratios, 'times')}")


if __name__ == "__main__":
    main()

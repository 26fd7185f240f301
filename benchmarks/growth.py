"""What the data file grows by, thing by thing: `python -m benchmarks.growth`.

A figure is the growth of the stopped engine's file, checkpointed, over the number of things done.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import attrs
import yaml

from benchmarks.engine_calls import EngineCalls, submit_many
from benchmarks.measure import describe_machine
from benchmarks.unary_load import Target, call_once
from benchmarks.upload import chunks_of, write_file
from proto.trellis.v1 import features_pb2, ingest_pb2
from tests.support.engine_process import ROOT, EngineProcess

GYM = ROOT / "docs/examples/gym"
JOB_TYPE = "nothing"
PROFILE_BYTES = 10 << 20
KEYS_A_CALL = 300
_WAIT_S = 120.0


@attrs.frozen
class World:
    """One data folder, on which an engine is started for each kind of thing."""

    folder: Path

    @property
    def file_bytes(self) -> int:
        path = self.folder / "data/trellis.duckdb"
        return path.stat().st_size if path.exists() else 0

    def grow(self, work: Callable[["World", EngineProcess, int], int], count: int) -> str:
        """Do something, about `count` of it, and say what the file has grown by for each."""
        before = self.file_bytes
        with EngineProcess(self.folder / "data", config_dir=self.folder / "config") as engine:
            done = work(self, engine, count)
            assert engine.stop() == 0
        grown = self.file_bytes - before
        return f"{grown / done:,.0f} bytes each ({done:,}: {grown:,} bytes)"

    def command(self, *arguments: str) -> None:
        command = [sys.executable, "main.py", "--config", str(self.folder / "config")]
        command += ["--data", str(self.folder / "data"), *arguments]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def make_config(folder: Path) -> None:
    """Write the gym's configuration with the shipped dataset, and a job type that does nothing."""
    shutil.copytree(GYM, folder)
    shipped = yaml.safe_load((ROOT / "configs/features.yaml").read_text())
    features = yaml.safe_load((folder / "features.yaml").read_text())
    (folder / "features.yaml").write_text(
        yaml.safe_dump(features | {"uploads": shipped["uploads"]})
    )
    settings = yaml.safe_load((folder / "app.yaml").read_text())
    handler = {"handler": "tests.support.job_bodies:echo"}
    settings["workers"]["job_types"] = {JOB_TYPE: handler}
    (folder / "app.yaml").write_text(yaml.safe_dump(settings))


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Poll until something holds.

    Raises:
      TimeoutError: it does not hold in time.
    """
    give_up_s = time.monotonic() + _WAIT_S
    while not condition():
        if time.monotonic() > give_up_s:
            raise TimeoutError(what)
        time.sleep(0.2)  # between two looks


def send_events(world: World, _engine: EngineProcess, count: int) -> int:
    world.command("generate", "--events", str(count), "--events-per-second", "20000")
    return count


def send_history(world: World, engine: EngineProcess, _count: int) -> int:
    """Have the gym's history taken in, and a model trained on it."""
    members = world.folder / "members.csv"
    with members.open("w") as file:
        make = [sys.executable, "docs/examples/members.py"]
        subprocess.run(make, cwd=ROOT, check=True, stdout=file)
    world.command("generate", "--replay", str(members))
    ask = [sys.executable, "main.py", "--data", str(engine.data_dir), "models"]

    def has_champion() -> bool:
        shown = subprocess.run([*ask, "--json"], cwd=ROOT, check=True, capture_output=True)
        return b'"champion"' in shown.stdout

    wait_for(has_champion, "no champion")
    return sum(1 for _ in members.open()) - 1


def predict(_world: World, engine: EngineProcess, count: int) -> int:
    request = features_pb2.BatchPredictRequest(
        model="comes_back", entity_keys=range(1, KEYS_A_CALL + 1)
    )
    method = "/trellis.v1.FeatureService/BatchPredict"
    target = Target(engine.address("service_b"), method, [request.SerializeToString()])
    for _ in range(count // KEYS_A_CALL):
        call_once(target, timeout_s=_WAIT_S)
    return count // KEYS_A_CALL * KEYS_A_CALL


def do_jobs(_world: World, engine: EngineProcess, count: int) -> int:
    submit_many(engine.address("service_d"), JOB_TYPE, count)
    with EngineCalls(engine) as calls:
        wait_for(lambda: calls.count_left() == 0, "jobs are not done")
    return count


def upload(world: World, engine: EngineProcess, size_bytes: int) -> int:
    path = world.folder / "profiles.ndjson"
    rows = write_file(path, size_bytes, users=50_000, seed=1)
    header = ingest_pb2.UploadHeader(dataset="profiles", filename=path.name)
    with EngineCalls(engine) as calls:
        upload_id = calls.upload(header, chunks_of(path))
        wait_for(
            lambda: calls.get_upload(upload_id).status == ingest_pb2.UPLOAD_STATUS_COMPLETED,
            "the file is not taken",
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--predictions", type=int, default=60_000)
    parser.add_argument("--jobs", type=int, default=5_000)
    arguments = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory(prefix="trellis-growth-") as name:
        world = World(Path(name))
        make_config(world.folder / "config")
        print("first:", world.grow(send_history, 0))
        print("event:", world.grow(send_events, arguments.events))
        print("prediction from 4 features:", world.grow(predict, arguments.predictions))
        print("job:", world.grow(do_jobs, arguments.jobs))
        print("uploaded row of 100 bytes:", world.grow(upload, PROFILE_BYTES))


if __name__ == "__main__":
    main()

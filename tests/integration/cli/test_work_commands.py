"""`upload`, `jobs`, `workers` and `worker` as their users run them, against a real engine."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml

from tests.support.engine_process import ROOT, EngineProcess

JOB_TYPES = {
    "purchase_totals": "docs.examples.purchase_totals:run",
    "echo": "tests.support.job_bodies:echo",
    "sleep": "tests.support.job_bodies:sleep",
    "fail": "tests.support.job_bodies:fail",
    "refuse": "tests.support.job_bodies:refuse",
}
WORKERS = {"check_interval_s": "200ms", "check_deadline_s": "2s"}


@attrs.frozen
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@attrs.frozen
class Desk:
    """A person's terminal beside a running engine."""

    engine: EngineProcess

    def run(self, *arguments: str) -> Outcome:
        return trellis("--data", str(self.engine.data_dir), *arguments)

    def submit(self, job_type: str, payload: Any = None) -> str:
        done = self.run("jobs", "submit", job_type, "--payload", json.dumps(payload or {}))
        assert done.code == 0, done.err
        [job_id] = re.findall(r"^job ([0-9A-Z]{26})$", done.out, re.MULTILINE)
        return job_id

    def job(self, job_id: str) -> Any:
        return self.run("jobs", "show", job_id, "--json").json

    def worker_of(self, job_id: str) -> Any:
        found = [w for w in self.run("workers", "--json").json if w["job_id"] == job_id]
        return found[0] if found else None

    def metrics(self) -> str:
        address = self.engine.address("metrics")
        script = f"import urllib.request as u; print(u.urlopen('http://{address}/metrics').read().decode())"
        return subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=20
        ).stdout

    def log_lines(self, event: str) -> list[dict[str, Any]]:
        lines = map(json.loads, self.engine.log_path.read_text().splitlines())
        return [line for line in lines if line["event"] == event]


def trellis(*arguments: str) -> Outcome:
    """Run one command to its end; whatever happens, nobody is shown a traceback."""
    done = subprocess.run(
        [sys.executable, "main.py", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
        env={**os.environ, "TRELLIS_DEBUG": ""},
    )
    assert "Traceback" not in done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    give_up_s = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < give_up_s, what
        time.sleep(0.05)  # between two looks
    return found


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("work")
    config_dir = shutil.copytree(ROOT / "configs", folder / "configs")
    settings = yaml.safe_load((config_dir / "app.yaml").read_text())
    job_types = {name: {"handler": handler} for name, handler in JOB_TYPES.items()}
    settings["workers"] |= {**WORKERS, "job_types": job_types}
    settings["log"]["level"] = "info"
    settings["log"]["levels"] = {"rpc": "debug"}
    (config_dir / "app.yaml").write_text(yaml.safe_dump(settings))
    with EngineProcess(folder / "data", config_dir=config_dir) as engine:
        yield Desk(engine)
        assert engine.stop() == 0
    assert "Traceback" not in engine.log_path.read_text()


def test_an_upload_is_waited_for_and_tells_what_was_not_taken(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "some.csv"
    file.write_text(
        "user_id,updated_at,plan,age\n"
        "5001,2026-01-01T00:00:00Z,pro,31\n"
        "5002,2026-01-01T00:00:00Z,free,old\n"
    )
    waited = desk.run("upload", str(file), "--dataset", "profiles", "--wait")
    again = desk.run("upload", str(file), "--dataset", "profiles", "--json")
    told = desk.run("upload", str(file), "--dataset", "profiles", "--wait", "--json")

    assert waited.code == 0, waited.err
    assert "completed: 1 rows taken, 1 rejected" in waited.out
    assert re.search(r"^row +column +reason", waited.out, re.MULTILINE)
    assert re.search(r"^3 +age ", waited.out, re.MULTILINE)
    assert again.json["duplicate"] is True
    assert told.code == 0
    assert (told.json["status"], told.json["rejects"][0]["row"]) == ("completed", 3)


def test_an_upload_is_given_up_when_the_engine_stops_answering(desk: Desk, tmp_path: Path) -> None:
    pipe = tmp_path / "profiles.csv"
    os.mkfifo(pipe)
    command = [sys.executable, "main.py", "--data", str(desk.engine.data_dir), "upload", str(pipe)]
    with subprocess.Popen(
        [*command, "--dataset", "profiles", "--timeout", "8s"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as sending:
        try:
            with pipe.open("wb") as content:
                # More than a pipe holds: when all is written, the command is connected and sends.
                content.write(b"user_id,plan,updated_at\n" + b"\n" * 300_000)
                os.kill(desk.engine.pid, signal.SIGSTOP)
            _, told = sending.communicate(timeout=60)
        finally:
            os.kill(desk.engine.pid, signal.SIGCONT)
            sending.kill()
    assert sending.returncode == 1
    assert "has not answered within 8 s" in told


def test_an_upload_of_which_nothing_counts_exits_with_1(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "nothing.json"
    file.write_text('{"rows": [{"user_id": "x"')

    done = desk.run("upload", str(file), "--dataset", "profiles", "--wait")

    assert done.code == 1
    assert "failed: 0 rows taken" in done.out
    job_id = re.findall(r"job ([0-9A-Z]{26})", done.out)[0]
    assert desk.job(job_id)["job_type"] == "process_upload"


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        ("upload /nowhere.csv --dataset profiles", 2, "/nowhere.csv"),
        ("upload README.md", 2, "--dataset"),
        ("upload README.md --dataset profiles --timeout 0s", 2, "more than 0s"),
        ("upload docs/examples/profiles.csv --dataset profile", 1, "profiles"),
        ("jobs show", 2, "wants the ID"),
        ("jobs list 7", 2, "jobs show 7"),
        ("jobs show 7", 1, "job_id: is 26 digits"),
        ("jobs show 00000000000000000000000000", 1, "00000000000000000000000000"),
        ("jobs watch 00000000000000000000000000", 1, "00000000000000000000000000"),
        ("jobs show 0 --limit 3", 2, "go with list"),
        ("jobs list --wait", 2, "go with submit"),
        ("jobs submit", 2, "wants the TYPE"),
        ("jobs submit ecco", 1, "echo"),
        ("jobs submit process_upload", 1, "UploadFile"),
        ("jobs submit echo --payload [", 2, "--payload: is not JSON"),
        ("jobs submit echo --payload []", 2, "--payload: is no JSON object"),
        ("jobs submit echo --priority 5000", 2, "--priority"),
        ("jobs submit echo --delay soon", 2, "--delay"),
        ("jobs list --state lost", 2, "'lost' is not one of"),
        ("workers show", 2, "wants a SLOT"),
        ("workers list any-0", 2, "workers show any-0"),
        ("workers show any-7", 1, "any-0"),
        ("workers restart --pool nobody", 1, "nobody"),
        ("workers drain", 2, "wants a SLOT"),
        ("workers drain any-0 --host local", 2, "wants a SLOT"),
        ("workers drain any-0 --pool train", 2, "--pool goes with list and restart"),
        ("workers list --wait", 2, "go with drain"),
        ("workers resume any-7", 1, "any-0"),
        ("worker --engine nowhere --pool train", 2, "no HOST:PORT"),
        ("worker --engine 127.0.0.1:1", 2, "--pool"),
    ],
)
def test_what_cannot_be_done_is_said_with_what_to_do(
    desk: Desk, arguments: str, code: int, expected: str
) -> None:
    words = arguments.split()
    done = trellis(*words) if words[0] == "worker" else desk.run(*words)

    assert (done.code, done.out) == (code, "")
    assert expected in done.err


@pytest.mark.parametrize("command", ["upload", "jobs", "workers", "worker"])
def test_help_tells_the_options_and_needs_no_engine(command: str) -> None:
    done = trellis(command, "--help")

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: python main.py {command} [OPTIONS]")
    assert "--help" in done.out


@pytest.mark.parametrize(
    "arguments", ["upload README.md --dataset profiles", "jobs", "jobs submit echo", "workers"]
)
def test_without_an_engine_the_commands_say_how_to_start_one(
    tmp_path: Path, arguments: str
) -> None:
    done = trellis("--data", str(tmp_path), *arguments.split())

    assert (done.code, done.out) == (1, "")
    assert f"start it with: python main.py --data {tmp_path}" in done.err


def test_a_job_is_submitted_waited_for_and_known_by_its_key(desk: Desk) -> None:
    arguments = ("jobs", "submit", "purchase_totals", "--payload", '{"file": "purchases.csv"}')
    done = desk.run(*arguments, "--key", "once", "--priority", "7", "--wait")
    again = desk.run(*arguments, "--key", "once", "--json")

    assert done.code == 0, done.err
    assert done.out.splitlines()[-1].startswith("succeeded  run 1, attempt 1")
    assert again.json["created"] is False
    job = desk.job(again.json["job_id"])
    assert (job["state"], job["priority"], job["idempotency_key"]) == ("succeeded", 7, "once")
    assert job["result"]["cents_by_user"]["900001"] > 0
    text = desk.run("jobs", "show", job["job_id"]).out
    assert re.search(r"^result +\{\"cents_by_user\"", text, re.MULTILINE)


def test_a_failed_job_is_watched_listed_and_retried(desk: Desk) -> None:
    submitted = desk.run("jobs", "submit", "refuse", "--wait", "--json")
    lines = [json.loads(line) for line in submitted.out.splitlines()]
    job_id = lines[-1]["job_id"]
    listed = desk.run("jobs", "list", "--state", "failed", "--type", "refuse", "--limit", "5")
    retried = desk.run("jobs", "retry", job_id)
    watched = desk.run("jobs", "watch", job_id)

    assert submitted.code == 1
    assert (lines[-1]["state"], lines[-1]["error_code"]) == ("failed", "bad_input")
    assert re.search(rf"^{job_id} +refuse .* bad_input: never$", listed.out, re.MULTILINE)
    assert retried.code == 0, retried.err
    assert retried.out.startswith(f"{job_id}: ")
    assert watched.code == 1
    assert "failed  run 2, attempt 1" in watched.out
    assert "job_bodies.py" in desk.run("jobs", "show", job_id).out


def test_a_delayed_job_and_a_running_one_are_cancelled(desk: Desk) -> None:
    delayed = desk.run("jobs", "submit", "echo", "--delay", "1h", "--json").json["job_id"]
    running = desk.submit("sleep")
    wait_for(lambda: desk.worker_of(running), "a worker has the job")

    first = desk.run("jobs", "cancel", delayed)
    second = desk.run("jobs", "cancel", running, "--json")
    watched = desk.run("jobs", "watch", running)

    assert (first.code, first.out.split()[1]) == (0, "cancelled")
    # A quick worker has left the job before the answer is made.
    assert second.json["cancel_requested"] or second.json["state"] == "cancelled"
    assert watched.code == 1
    assert watched.out.splitlines()[-1].startswith("cancelled")
    refused = desk.run("jobs", "retry", desk.submit("sleep", {"seconds": 5}))
    assert (refused.code, refused.out) == (1, "")


@pytest.mark.parametrize(
    ("number", "cause", "in_stack"),
    [(signal.SIGKILL, "died", ""), (signal.SIGSTOP, "silent", "sleep (job_bodies.py:")],
)
def test_a_worker_that_is_killed_or_stopped_is_shown_replaced(
    desk: Desk, number: signal.Signals, cause: str, in_stack: str
) -> None:
    job_id = desk.submit("sleep")
    worker = wait_for(lambda: desk.worker_of(job_id), "a worker has the job")
    os.kill(worker["pid"], number)
    slot = worker["slot"]

    def replaced() -> Any:
        [now] = [w for w in desk.run("workers", "--json").json if w["slot"] == slot]
        return now if now["worker_id"] not in (None, worker["worker_id"]) else None

    now = wait_for(replaced, "the worker is replaced")
    assert (now["last_cause"], now["last_job_id"]) == (cause, job_id)
    table = desk.run("workers").out
    assert re.search(rf"^{slot} .* {cause}: .*{re.escape(in_stack)}", table, re.MULTILINE)
    shown = desk.run("workers", "show", slot)
    assert re.search(rf"^last_cause +{cause}$", shown.out, re.MULTILINE)
    if in_stack:
        assert re.search(r'^  +File ".*job_bodies.py", line \d+ in sleep$', shown.out, re.MULTILINE)
    [told] = [line for line in desk.log_lines("worker ended") if line["slot"] == slot][-1:]
    assert (told["cause"], told["job_id"], told["level"]) == (cause, job_id, "warning")
    assert in_stack in told.get("at", "")
    assert f'trellis_worker_restarts_total{{cause="{cause}"}}' in desk.metrics()
    assert desk.run("jobs", "cancel", job_id).code == 0
    assert desk.run("jobs", "watch", job_id).code == 1


def test_workers_are_listed_and_replaced_by_command(desk: Desk) -> None:
    before = {w["slot"]: w["worker_id"] for w in desk.run("workers", "--json").json}
    restarted = desk.run("workers", "restart")

    assert (restarted.code, restarted.err) == (0, "")
    assert "3 workers will be replaced" in restarted.out

    def replaced() -> bool:
        now = {w["slot"]: w["worker_id"] for w in desk.run("workers", "--json").json}
        return all(now[slot] not in (None, before[slot]) for slot in before)

    wait_for(replaced, "both are others")
    assert {"slot", "pool", "state", "last end"} <= set(
        re.split(r"  +", desk.run("workers").out.splitlines()[0])
    )


def test_a_slot_is_drained_and_resumed_by_command(desk: Desk) -> None:
    refused = desk.run("workers", "drain", "serve-0")
    assert refused.code == 1
    assert "no worker would be left to answer predictions" in refused.err
    assert "workers.pools.serve" in refused.err

    job_id = desk.submit("sleep", {"seconds": 20})
    slot = wait_for(lambda: desk.worker_of(job_id), "the job to run")["slot"]
    drained = desk.run("workers", "drain", slot, "--wait")
    assert drained.code == 0, drained.err
    [began, *_, ended] = drained.out.splitlines()
    assert began == f"{slot}: draining, job {job_id} in hand"
    assert ended == f"{slot}: drained"
    assert desk.job(job_id)["state"] == "succeeded"
    assert desk.run("status", "--json").json["workers"]["drained"] == 1
    assert re.search(r"^workers .*1 drained", desk.run("status").out, re.MULTILINE)
    assert 'trellis_workers{state="drained"} 1.0' in desk.metrics()
    [shown] = [one for one in desk.run("workers", "--json").json if one["slot"] == slot]
    assert (shown["state"], shown["pid"], shown["last_detail"]) == (
        "drained",
        None,
        "the slot is drained",
    )
    resumed = desk.run("workers", "resume", slot, "--json")
    assert [one["slot"] for one in resumed.json] == [slot]
    wait_for(
        lambda: desk.run("workers", "show", slot, "--json").json["state"] == "idle",
        "another worker in the slot",
    )


def test_who_watches_a_job_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    settings = ["workers.job_types={sleep: {handler: 'tests.support.job_bodies:sleep'}}"]
    with EngineProcess(tmp_path / "data", settings=[*settings, "shutdown.grace_s=60s"]) as engine:
        desk = Desk(engine)
        job_id = desk.run("jobs", "submit", "sleep", "--delay", "1h", "--json").json["job_id"]
        watching = subprocess.Popen(
            [sys.executable, "main.py", "jobs", "watch", job_id, "--data", str(engine.data_dir)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert watching.stdout is not None
        assert watching.stdout.readline().startswith("scheduled")
        assert engine.stop() == 0
        _, told = watching.communicate(timeout=20)

    assert watching.returncode == 1
    assert "watch it again" in told
    assert desk.log_lines("calls cut off") == []


def test_who_interrupts_a_wait_is_told_that_the_job_goes_on(desk: Desk) -> None:
    job_id = desk.run("jobs", "submit", "sleep", "--delay", "1h", "--json").json["job_id"]
    watching = watch(desk, job_id)
    watching.send_signal(signal.SIGINT)
    _, told = watching.communicate(timeout=20)

    assert watching.returncode == 130
    assert f"python main.py --data {desk.engine.data_dir} jobs watch {job_id}" in told
    assert "Traceback" not in told
    assert desk.job(job_id)["state"] == "scheduled"
    assert desk.run("jobs", "cancel", job_id).code == 0


def test_an_engine_that_is_killed_in_the_middle_is_one_clear_line(tmp_path: Path) -> None:
    settings = ["workers.job_types={sleep: {handler: 'tests.support.job_bodies:sleep'}}"]
    with EngineProcess(tmp_path / "data", settings=settings) as engine:
        desk = Desk(engine)
        job_id = desk.run("jobs", "submit", "sleep", "--delay", "1h", "--json").json["job_id"]
        watching = watch(desk, job_id)
        engine.kill()
        _, told = watching.communicate(timeout=20)
        assert watching.returncode == 1
        assert re.fullmatch(r"error: the engine at \S+ is not available: .+\n", told)
        # Its file still says where it was.
        after = desk.run("status")
        assert (after.code, after.out) == (1, "")
        assert "start it with: python main.py" in after.err


def watch(desk: Desk, job_id: str) -> "subprocess.Popen[str]":
    watching = subprocess.Popen(
        [sys.executable, "main.py", "jobs", "watch", job_id, "--data", str(desk.engine.data_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert watching.stdout is not None
    assert watching.stdout.readline().startswith("scheduled")
    return watching


def test_what_jobs_count_and_workers_use_are_metrics_of_the_engine(desk: Desk) -> None:
    before = counted(desk.metrics(), 'trellis_job_counter_total{job_type="purchase_totals"')
    done = desk.run(
        *("jobs", "submit", "purchase_totals", "--wait"),
        *("--payload", '{"file": "purchases.csv"}'),
    )
    assert done.code == 0, done.err
    rows = len((ROOT / "docs/examples/purchases.csv").read_text().splitlines()) - 1

    def told() -> bool:
        now = counted(desk.metrics(), 'trellis_job_counter_total{job_type="purchase_totals"')
        return now - before == rows

    wait_for(told, "the rows are counted")
    metrics = desk.metrics()
    for slot in ("any-0", "any-1"):
        assert counted(metrics, f'trellis_worker_memory_bytes{{slot="{slot}"') > 2**20
        assert 0 <= counted(metrics, f'trellis_worker_check_age_seconds{{slot="{slot}"') < 2
    assert counted(metrics, "trellis_worker_jobs_done_total") > 0
    assert counted(metrics, 'trellis_workers{state="') == 3


def test_one_request_id_leads_from_the_call_to_the_workers_log(desk: Desk) -> None:
    job_id = desk.submit("purchase_totals", {"file": "purchases.csv"})
    assert desk.run("jobs", "watch", job_id).code == 0
    request_id = desk.job(job_id)["request_id"]

    def lines(event: str) -> Sequence[dict[str, Any]]:
        return [line for line in desk.log_lines(event) if line.get("request_id") == request_id]

    [call] = wait_for(lambda: lines("call"), "the call is logged")
    [line] = wait_for(lambda: lines("worker output"), "the worker's line is logged")
    assert call["rpc"] == "trellis.v1.JobService/SubmitJob"
    assert line["job_id"] == job_id
    assert line["line"].startswith("INFO job.purchase_totals: 24 purchases of ")


def test_a_request_id_leads_from_an_upload_to_its_job(desk: Desk) -> None:
    done = desk.run("upload", "docs/examples/profiles.csv", "--dataset", "profiles", "--json")
    request_id = desk.job(done.json["job_id"])["request_id"]

    def calls() -> Sequence[str]:
        logged = desk.log_lines("call")
        return [line["rpc"] for line in logged if line["request_id"] == request_id]

    assert wait_for(calls, "the call is logged") == ["trellis.v1.IngestService/UploadFile"]


def counted(metrics: str, prefix: str) -> float:
    """Return the sum of the series that begin so."""
    lines = [line for line in metrics.splitlines() if line.startswith(prefix)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)

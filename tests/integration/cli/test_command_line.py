"""The program as its users run it: processes, exit codes, output."""

import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = (sys.executable, "-c", "from engine.cli import main; main()")
PORTS = ("service_a", "service_b", "service_d", "control", "metrics")
FREE_PORTS = [word for port in PORTS for word in ("--set", f"server_ports.{port}=0")]


@attrs.frozen
class Outcome:
    code: int
    out: str
    err: str


def trellis(*arguments: str, debug: bool = False) -> Outcome:
    """Run one command to its end."""
    environment = {**os.environ, "TRELLIS_DEBUG": "1" if debug else ""}
    done = subprocess.run(
        [*PROGRAM, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
        env=environment,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@attrs.define
class Engine:
    """A running engine, its standard output read up to the ready line."""

    process: subprocess.Popen[str]
    data: Path
    log: Path
    ready_line: str

    def command(self, *arguments: str) -> Outcome:
        return trellis("--data", str(self.data), *arguments)

    def stop(self) -> tuple[int, str]:
        """Stop it in order; return the exit code and what else it wrote to standard output."""
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=30)
        return self.process.returncode, out


def start_engine(folder: Path, arguments: Sequence[str] = ()) -> Engine:
    log = folder / "log"
    data = folder / "data"
    with log.open("w") as log_file:
        process = subprocess.Popen(
            [*PROGRAM, "--data", str(data), *FREE_PORTS, *arguments],
            stdout=subprocess.PIPE,
            stderr=log_file,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], 30)
    line = process.stdout.readline() if readable else ""
    if not line:
        process.kill()
        process.communicate()
        pytest.fail(f"the engine did not become ready:\n{log.read_text()}")
    return Engine(process, data, log, line)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    running = start_engine(tmp_path_factory.mktemp("engine"))
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()


def wait_for(condition: Callable[[], bool], what: str, within_s: float = 20.0) -> None:
    give_up = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > give_up:
            pytest.fail(f"not within {within_s} s: {what}")
        time.sleep(0.02)  # between two looks


def test_ready_line_has_every_address_and_the_pid(engine: Engine) -> None:
    assert engine.ready_line.startswith("ready {")
    facts = json.loads(engine.ready_line.removeprefix("ready "))

    assert facts["pid"] == engine.process.pid
    for port in PORTS:
        assert re.fullmatch(r"127\.0\.0\.1:[1-9][0-9]*", facts[port])


def test_status_tells_parts_addresses_and_counters(engine: Engine) -> None:
    outcome = engine.command("status")
    as_json = engine.command("status", "--json")

    assert outcome.code == as_json.code == 0
    assert outcome.out.startswith("ready, pid")
    facts = json.loads(as_json.out)
    assert facts["ready"] is True
    assert facts["parts"]["features"]["ok"] is True
    assert facts["engine"]["service_b"] in outcome.out
    assert "trellis_intake_events_total" in facts["metrics"]


def test_generated_events_become_features(engine: Engine, tmp_path: Path) -> None:
    log = tmp_path / "sent"

    generated = engine.command(
        "generate",
        *("--events", "500", "--events-per-second", "5000", "--users", "5"),
        *("--malformed-rate", "0.02", "--log", str(log)),
    )

    assert generated.code == 0, generated.err
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    sent = [line for line in lines if "malformed" not in line]
    assert len(sent) == 500
    assert f"500 events sent, {len(lines) - 500} malformed messages" in generated.out
    views = sum(line["user_id"] == 3 and line["action"] == "view" for line in sent)

    def counted() -> bool:
        outcome = engine.command("features", "3", "--feature", "views_5m", "--json")
        assert outcome.code == 0, outcome.err
        return bool(json.loads(outcome.out)["features"][0]["value"] == views)

    wait_for(counted, f"views_5m of user 3 is {views}")


def test_recorded_events_are_replayed_and_seen_in_the_past(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text(
        "user_id,action,timestamp,value\n"
        "77001,purchase,2020-01-01T10:00:00Z,5.5\n"
        "77001,purchase,2020-01-01T11:00:00Z,2\n"
        "seven,purchase,2020-01-01T11:00:00Z,2\n"
    )

    replayed = engine.command("generate", "--replay", str(file))

    assert (replayed.code, replayed.out) == (0, "2 events sent, 1 rows skipped\n")
    assert '"line": 4' in replayed.err

    def spent(as_of: str) -> object:
        outcome = engine.command(
            *("features", "77001", "--feature", "spend_24h", "--as-of", as_of, "--json")
        )
        assert outcome.code == 0, outcome.err
        return json.loads(outcome.out)["features"][0]["value"]

    wait_for(lambda: spent("2020-01-01T12:00:00Z") == 7.5, "both purchases count")
    assert spent("2020-01-01T12:30:00+02:00") == 5.5


def test_a_replay_of_which_no_row_fits_fails(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text('user_id,action,timestamp\nseven,view,2020-01-01\n7,"view,2020-01-01\n')

    replayed = engine.command("generate", "--replay", str(file))

    assert (replayed.code, replayed.out) == (1, "0 events sent, 2 rows skipped\n")
    assert '"line": 2' in replayed.err
    assert '"line": 3' in replayed.err
    file.write_text("user_id,action,timestamp\n")
    assert engine.command("generate", "--replay", str(file)).code == 0


def test_a_file_with_a_column_twice_is_refused(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text("user_id,action,timestamp,value,value\n7,view,2020-01-01,1,2\n")

    replayed = engine.command("generate", "--replay", str(file))

    assert replayed.code == 2
    assert replayed.err.splitlines()[-1].endswith("the header has more than once: 'value'")


def test_a_negative_key_is_an_entity_like_others(engine: Engine) -> None:
    found = engine.command("features", "-5", "--feature", "views_5m", "--json")

    assert found.code == 0, found.err
    assert json.loads(found.out)["entity_key"] == -5


def test_features_can_be_asked_by_model_and_mistakes_are_named(engine: Engine) -> None:
    by_model = engine.command("features", "1", "--model", "buys_again")
    unknown = engine.command("features", "1", "--feature", "veiws_5m")
    both = engine.command("features", "1", "--feature", "views_5m", "--model", "buys_again")

    assert by_model.code == 0
    assert "model buys_again version 1" in by_model.out
    assert unknown.code == 1
    assert unknown.err.startswith("error: no feature named 'veiws_5m'")
    assert "views_5m" in unknown.err
    assert both.code == 2


def test_dead_letters_are_listed(engine: Engine) -> None:
    generated = engine.command("generate", "--events", "20", "--malformed-rate", "1")
    assert generated.code == 0, generated.err

    wait_for(
        lambda: len(json.loads(engine.command("dead-letters", "--json").out)) >= 20,
        "20 dead letters are listed",
    )

    table = engine.command("dead-letters", "--limit", "3")
    assert table.code == 0
    assert len(table.out.splitlines()) == 1 + 3
    some_reason = json.loads(engine.command("dead-letters", "--json").out)[0]["reason"]
    filtered = engine.command("dead-letters", "list", "--reason", some_reason, "--json")
    assert {letter["reason"] for letter in json.loads(filtered.out)} == {some_reason}


def test_replaying_wants_exactly_one_selection(engine: Engine) -> None:
    assert engine.command("dead-letters", "replay").code == 2
    assert engine.command("dead-letters", "replay", "--all", "--reason", "empty").code == 2


def test_a_second_engine_on_the_same_folder_is_refused_in_one_line(engine: Engine) -> None:
    second = engine.command(*FREE_PORTS)

    assert second.code == 1
    assert second.out == ""
    (error,) = [line for line in second.err.splitlines() if line.startswith("error: ")]
    assert str(engine.process.pid) in error
    assert "Traceback" not in second.err


def test_a_taken_port_is_refused_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = trellis(
            "--data", str(tmp_path), *FREE_PORTS, "--set", f"server_ports.metrics={port}"
        )

    assert outcome.code == 1
    assert f"port {port}" in outcome.err
    assert "Traceback" not in outcome.err


def test_demo_makes_traffic_and_stops_in_order(tmp_path: Path) -> None:
    demo = start_engine(tmp_path, ["--demo", "--events-per-second", "500"])

    def events() -> float:
        facts = json.loads(demo.command("status", "--json").out)
        return float(facts["metrics"]["trellis_intake_events_total"])

    try:
        wait_for(lambda: events() > 200, "the demo's events are counted")
    finally:
        code, rest = demo.stop()

    assert (code, rest) == (0, "")
    assert "Traceback" not in demo.log.read_text()
    gone = demo.command("status")
    assert gone.code == 1
    assert gone.err.startswith("error: no engine is running")


def test_generate_stops_in_order_on_a_signal(engine: Engine) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "--data", str(engine.data), "generate", "--log", str(engine.data / "sent")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        wait_for((engine.data / "sent").exists, "generating has begun")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()

    assert process.returncode == 0, err
    assert "events sent" in out
    assert "Traceback" not in err


def test_on_a_terminal_a_banner_and_a_live_line_follow_the_ready_line(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "--data", str(tmp_path), *FREE_PORTS],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        cwd=ROOT,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(follower)
    seen = b""
    try:
        give_up = time.monotonic() + 30
        while b"events/s" not in seen and time.monotonic() < give_up:
            if select.select([leader], [], [], 1)[0]:
                seen += os.read(leader, 65_536)
        process.send_signal(signal.SIGINT)
        with suppress(OSError):  # how a terminal tells that its other side is closed
            while chunk := os.read(leader, 65_536):
                seen += chunk
        code = process.wait(timeout=30)
    finally:
        process.kill()
        process.wait()
        os.close(leader)

    text = seen.decode()
    assert text.index("ready {") < text.index("Trellis is running") < text.index("events/s")
    assert "Traceback" not in text
    assert code == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--set", "kafka.topik=x", "check-config"], "did you mean kafka.topic?"),
        (["--config", "/nowhere", "check-config"], "/nowhere"),
        (["nonsense"], "No such command"),
        (["--nonsense"], "No such option"),
        (["--users", "5"], "--users goes with --demo"),
        (["generate", "--users", "0"], "users: 0 is not between"),
        (["features", "notanumber"], "ENTITY_KEY"),
        (["features", "99999999999999999999"], "ENTITY_KEY"),
        (["features", "1", "--as-of", "yesterday"], "--as-of"),
        (["generate", "--replay", "/nowhere", "--bootstrap-servers", "127.0.0.1:1"], "/nowhere"),
    ],
)
def test_bad_usage_and_bad_configuration_exit_with_2(
    arguments: Sequence[str], expected: str
) -> None:
    outcome = trellis(*arguments)

    assert outcome.code == 2
    assert expected in outcome.err
    assert "Traceback" not in outcome.err


def test_all_problems_of_a_configuration_are_listed() -> None:
    outcome = trellis(
        "check-config", "--set", "kafka.topik=x", "--set", "workers.max_python_workers=0"
    )

    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 2


def test_check_config_tells_values_and_origins() -> None:
    table = trellis("check-config", "--set", "kafka.topic=mine")
    as_json = trellis("check-config", "--set", "kafka.topic=mine", "--json")

    assert table.code == as_json.code == 0
    rows = {row["key"]: row for row in json.loads(as_json.out)}
    assert rows["kafka.topic"] == {"key": "kafka.topic", "value": "mine", "origin": "--set"}
    assert re.search(r"^kafka\.topic +--set +mine$", table.out, re.MULTILINE)


@pytest.mark.parametrize("command", ["status", "features 1", "dead-letters", "generate"])
def test_without_an_engine_commands_say_how_to_start_one(command: str, tmp_path: Path) -> None:
    outcome = trellis("--data", str(tmp_path), *command.split())

    assert outcome.code == 1
    assert outcome.err == (
        f"error: no engine is running on {tmp_path}; "
        f"start it with: python main.py --data {tmp_path}\n"
    )


def test_the_command_that_starts_an_engine_has_the_options_that_were_given(tmp_path: Path) -> None:
    config = shutil.copytree(ROOT / "configs", tmp_path / "my configs")
    data = tmp_path / "data"
    given = ("--config", str(config), "--set", f"paths.data={data}")

    outcome = trellis(*given, "status")

    assert outcome.code == 1
    words = shlex.split(outcome.err.partition("start it with: ")[2])
    assert words[:2] == ["python", "main.py"]
    checked = trellis(*words[2:], "check-config", "--json")
    assert checked.code == 0, checked.err
    values = {row["key"]: row["value"] for row in json.loads(checked.out)}
    assert values["paths.data"] == str(data)
    (config / "app.yaml").write_text("no: {such: section}\n")
    assert trellis(*words[2:], "check-config").code == 2, "another configuration was checked"


def test_a_broker_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    outcome = trellis("generate", "--bootstrap-servers", f"127.0.0.1:{port}", "--events", "1")

    assert outcome.code == 1
    assert any(line.startswith("error: kafka is unavailable") for line in outcome.err.splitlines())
    assert "Traceback" not in outcome.err


def test_debugging_shows_where_an_error_came_from(tmp_path: Path) -> None:
    outcome = trellis("--data", str(tmp_path), "status", debug=True)

    assert outcome.code == 1
    assert "Traceback" in outcome.err
    assert "error: no engine is running" in outcome.err

"""Tables, times, durations, counters."""

import json
import math
import os
from pathlib import Path

import click
import pytest

from engine.cli.features import read_value
from engine.cli.json_output import write_json_line
from engine.cli.options import Duration
from engine.cli.running import find_engine
from engine.cli.status import sum_metrics
from engine.cli.tables import print_table
from engine.cli.times import show_time, to_timestamp
from engine.errors import InvalidArgumentError, TrellisError, UnavailableError
from proto.trellis.v1.features_pb2 import FeatureValue


def test_a_table_in_a_pipe_is_one_line_a_row_whatever_is_in_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("name", "value"), [("a", "x" * 500), ("[red]b", "two\nlines\x1b[2J"), ("c", None)])

    assert capsys.readouterr().out.splitlines() == [
        "name    value",
        f"a       {'x' * 500}",
        "[red]b  two\\nlines\\x1b[2J",
        "c",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1997-01-02", "1997-01-02T00:00:00.000000Z"),
        ("2025-01-31T08:30:00+02:00", "2025-01-31T06:30:00.000000Z"),
        ("2025-01-31T08:30:00.123456Z", "2025-01-31T08:30:00.123456Z"),
    ],
)
def test_times_are_read_in_any_offset_and_shown_in_utc(text: str, shown: str) -> None:
    assert show_time(to_timestamp(text, "--as-of")) == shown


@pytest.mark.parametrize("text", ["yesterday", "", "2025-13-01", "99999-01-01"])
def test_what_is_no_time_is_refused_by_the_options_name(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="--as-of"):
        to_timestamp(text, "--as-of")


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("500ms", 0.5)])
def test_durations_are_read(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["5", "", "soon", "-5s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="duration"):
        Duration().convert(text, None, None)


def test_shown_metrics_are_summed_over_their_labels() -> None:
    text = (
        "# TYPE trellis_intake_lag_messages gauge\n"
        'trellis_intake_lag_messages{partition="0"} 2.0\n'
        'trellis_intake_lag_messages{partition="1"} 3.0\n'
        "# TYPE trellis_commit_seq gauge\n"
        "trellis_commit_seq 7.0\n"
        "# TYPE other gauge\n"
        "other 1.0\n"
    )

    assert sum_metrics(text) == {"trellis_intake_lag_messages": 5.0, "trellis_commit_seq": 7.0}


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        (FeatureValue(int64_value=0), 0),
        (FeatureValue(double_value=1.5), 1.5),
        (FeatureValue(string_value=""), ""),
        (FeatureValue(bool_value=False), False),
        (FeatureValue(), None),
    ],
)
def test_values_keep_their_type_and_missing_is_none(feature: FeatureValue, value: object) -> None:
    found = read_value(feature)

    assert found == value
    assert type(found) is type(value)


def test_a_line_of_json_has_no_number_that_json_does_not_know() -> None:
    assert write_json_line({"value": 1.5, "text": "é"}) == '{"value": 1.5, "text": "\\u00e9"}'
    assert write_json_line({"value": math.nan, "of": [math.inf, 1]}) == (
        '{"value": null, "of": [null, 1]}'
    )


def test_no_engine_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"start it with: python main\.py --data"):
        find_engine(tmp_path)


def test_a_file_of_a_dead_engine_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "engine.json").write_text('{"pid": 999999999}')

    with pytest.raises(UnavailableError, match="no engine is running"):
        find_engine(tmp_path)


FACTS = {
    "pid": os.getpid(),
    **dict.fromkeys(("service_a", "service_b", "service_d", "control", "metrics"), "[::1]:1"),
    "kafka": "127.0.0.1:9092",
    "topic": "t",
    "started_at": "2025-01-31T08:30:00+00:00",
}


def test_a_running_engine_is_found(tmp_path: Path) -> None:
    (tmp_path / "engine.json").write_text(json.dumps(FACTS))

    engine = find_engine(tmp_path)

    assert engine.address("service_b") == ("::1", 1)
    assert (engine.kafka, engine.topic) == ("127.0.0.1:9092", "t")


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.parametrize("value", [None, 5.5, "x", [], "127.0.0.1:"])
def test_a_running_engines_file_with_a_fact_missing_or_wrong_is_a_clear_error(
    tmp_path: Path, name: str, value: object
) -> None:
    facts = {**FACTS, name: value}
    (tmp_path / "engine.json").write_text(json.dumps(facts))
    if name in {"kafka", "topic"} and isinstance(value, str):
        find_engine(tmp_path)
        return

    with pytest.raises(TrellisError, match=r"engine\.json cannot be read \(.+\); restart"):
        find_engine(tmp_path)


def test_a_data_folder_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")

    with pytest.raises(TrellisError, match=r"engine\.json cannot be read: Not a directory"):
        find_engine(tmp_path / "data")


@pytest.mark.parametrize("pid", [0, -1, 2**70, True, "1"])
def test_a_number_that_is_no_process_is_a_clear_error(tmp_path: Path, pid: object) -> None:
    (tmp_path / "engine.json").write_text(json.dumps({**FACTS, "pid": pid}))

    with pytest.raises(TrellisError, match="it names no process"):
        find_engine(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": "x"}'])
def test_a_broken_file_is_a_clear_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "engine.json").write_text(content)

    with pytest.raises(TrellisError, match=r"engine\.json cannot be read"):
        find_engine(tmp_path)

"""Log lines: one event, one line, no secret, whatever is logged."""

import io
import json
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import attrs
import pytest

from engine.logs import REDACTOR, HumanFormatter, JsonFormatter, Redactor, configure_logging


@attrs.frozen
class Settings:
    format: str = "json"
    level: str = "INFO"
    levels: Mapping[str, str] = attrs.field(factory=dict)


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What was written to standard error; logging is as it was before once the test is over."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield lambda: capsys.readouterr().err
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stderr: Callable[[], str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr().splitlines()]


def record(message: str = "event", **extra: Any) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message, "levelname": "INFO", "name": "engine.x"})
    made.__dict__.update(extra)
    return made


def test_json_line_has_time_level_logger_event_and_facts(stderr: Callable[[], str]) -> None:
    configure_logging(Settings())

    logging.getLogger("engine.intake").warning("broker down", extra={"backend": "kafka", "n": 3})

    (line,) = lines(stderr)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("ts"))
    assert line == {
        "level": "warning",
        "logger": "engine.intake",
        "event": "broker down",
        "backend": "kafka",
        "n": 3,
    }


def test_exception_becomes_one_string_on_the_same_line(stderr: Callable[[], str]) -> None:
    configure_logging(Settings())

    error = RuntimeError("bad\nnews")
    logging.getLogger("engine.x").error("failed", exc_info=error)

    (line,) = lines(stderr)
    assert line["exc"] == "RuntimeError: bad\nnews"


@pytest.mark.parametrize("separator", ["\n", "\r", "\x1b[2J", "\x85", "\u2028", "\u202e", "\x00"])
@pytest.mark.parametrize("layout", ["json", "human"])
def test_values_cannot_forge_a_line(layout: str, separator: str) -> None:
    redactor = Redactor()
    formatter = (
        JsonFormatter(redactor) if layout == "json" else HumanFormatter(redactor, colour=False)
    )
    forged = f"x{separator}2026 ERROR all data lost"

    line = formatter.format(record(forged, **{"action": forged, f"k{separator}": [forged]}))

    assert separator not in line
    assert len(line.splitlines()) == 1


def test_human_traceback_is_indented_so_that_it_cannot_pass_for_an_event() -> None:
    formatter = HumanFormatter(Redactor(), colour=False)
    made = record()
    made.exc_text = "Traceback\nValueError: x\n12:00:00.000 INFO forged"

    first, *rest = formatter.format(made).splitlines()

    assert "event" in first
    assert all(row.startswith("    | ") for row in rest)


@pytest.mark.parametrize(
    "spelling",
    ["pa'ss \"w\\ord\u00fc", repr("pa'ss \"w\\ord\u00fc"), json.dumps("pa'ss \"w\\ord\u00fc")],
)
@pytest.mark.parametrize("layout", ["json", "human"])
def test_a_secret_is_masked_in_messages_values_names_and_tracebacks(
    layout: str, spelling: str
) -> None:
    redactor = Redactor()
    redactor.add(["pa'ss \"w\\ord\u00fc"])
    formatter = (
        JsonFormatter(redactor) if layout == "json" else HumanFormatter(redactor, colour=False)
    )
    made = record(f"cannot reach {spelling}", url=f"u:{spelling}@h", **{spelling: [spelling]})
    made.exc_text = f"ConnectionError: {spelling}"

    line = formatter.format(made)

    assert "ord" not in line
    assert line.count("***") >= 5


def test_parts_of_urls_and_connection_strings_are_masked_on_their_own() -> None:
    redactor = Redactor()
    redactor.add(["redis://user:s3cr%40t@host:1/0", "AccountName=a;AccountKey=Zm9vYmFy==;X=1"])

    assert redactor.scrub("password 's3cr@t' for s3cr%40t") == "password '***' for ***"
    assert redactor.scrub("signed with Zm9vYmFy==") == "signed with ***"


def test_the_signature_of_a_shared_access_token_is_masked_on_its_own() -> None:
    redactor = Redactor()
    redactor.add(["BlobEndpoint=https://a/;SharedAccessSignature=sv=2024&sig=Zm9v%2BmFy%3D&se=2"])
    for text in (
        "GET /c/b?se=2&sig=Zm9v%2BmFy%3D&sv=2024",
        "the signature Zm9v+mFy= did not match",
    ):
        assert "Zm9v" not in redactor.scrub(text)


def test_very_short_secrets_are_left_so_that_lines_stay_readable() -> None:
    redactor = Redactor()
    redactor.add(["", "a"])

    assert redactor.scrub("a broker") == "a broker"


def test_a_numeric_secret_does_not_break_the_json() -> None:
    redactor = Redactor()
    redactor.add(["1234"])

    line = json.loads(JsonFormatter(redactor).format(record(offset=12345, key="1234")))

    assert line["offset"] == 12345
    assert line["key"] == "***"


def test_configure_masks_the_given_secrets(stderr: Callable[[], str]) -> None:
    configure_logging(Settings(), secrets=["marker-one"])
    REDACTOR.add(["marker-two"])

    logging.getLogger("engine.x").info("marker-one", extra={"token": "marker-two"})

    assert "marker" not in stderr()


class Unprintable:
    def __str__(self) -> NoReturn:
        raise ValueError


@pytest.mark.parametrize(
    "value",
    [Unprintable(), float("nan"), 1 << 20_000, b"\xff", {"a": {"b": {"c": {"d": {"e": 1}}}}}],
    ids=["unprintable", "nan", "huge", "bytes", "deep"],
)
@pytest.mark.parametrize("layout", ["json", "human"])
def test_any_value_can_be_logged(layout: str, value: object) -> None:
    redactor = Redactor()
    formatter = (
        JsonFormatter(redactor) if layout == "json" else HumanFormatter(redactor, colour=False)
    )

    line = formatter.format(record("odd", value=value))

    assert "odd" in line
    assert "unreadable" not in line
    if layout == "json":
        json.loads(line)


def test_wrong_arguments_in_a_log_call_lose_nothing() -> None:
    line = json.loads(JsonFormatter(Redactor()).format(record("%d of %d", args=("one",))))

    assert line["event"] == "%d of %d ('one',)"


def test_long_values_are_cut_and_say_so() -> None:
    line = json.loads(JsonFormatter(Redactor()).format(record(payload="x" * 1_000_000)))

    assert len(line["payload"]) < 5_000
    assert line["payload"].endswith("more characters)")


def test_facts_cannot_replace_the_lines_own_fields(stderr: Callable[[], str]) -> None:
    configure_logging(Settings())

    logging.getLogger("engine.x").info("real", extra={"event": "forged", "level": "forged"})

    (line,) = lines(stderr)
    assert (line["event"], line["event_"]) == ("real", "forged")
    assert (line["level"], line["level_"]) == ("info", "forged")


def test_levels_are_by_logger_and_libraries_do_not_chatter(stderr: Callable[[], str]) -> None:
    configure_logging(Settings(level="DEBUG", levels={"quiet": "ERROR"}))

    logging.getLogger("engine.loud").debug("kept")
    logging.getLogger("engine.quiet").warning("dropped")
    logging.getLogger("urllib3.connection").info("dropped")
    logging.getLogger("urllib3.connection").warning("kept too")

    assert [line["event"] for line in lines(stderr)] == ["kept", "kept too"]
    logging.getLogger("engine.quiet").setLevel(logging.NOTSET)


def test_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="LOUD"):
        configure_logging(Settings(level="LOUD"))


def test_warnings_are_logged(stderr: Callable[[], str]) -> None:
    configure_logging(Settings())

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old thing", stacklevel=1)

    (line,) = lines(stderr)
    assert line["logger"] == "py.warnings"
    assert "old thing" in line["event"]


def test_a_closed_standard_error_does_not_raise(
    stderr: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_logging(Settings())
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)

    logging.getLogger("engine.x").error("nobody hears this")


def test_auto_is_json_when_standard_error_is_not_a_terminal(stderr: Callable[[], str]) -> None:
    configure_logging(Settings(format="auto"))

    logging.getLogger("engine.x").info("plain")

    assert lines(stderr)[0]["event"] == "plain"

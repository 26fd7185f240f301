"""Where settings come from, which source wins, and what each refuses."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from engine.config import EngineConfig, Secret, load_config

Lines = Callable[..., list[str]]


def load(
    config_dir: Path, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> EngineConfig:
    return load_config(config_dir, None, overrides, environ or {})


def test_each_source_wins_over_the_ones_before_it(config_dir: Path) -> None:
    key = "kafka.topic"
    (config_dir / "app.yaml").write_text("{}")
    steps: list[tuple[str, str, Sequence[str], Mapping[str, str]]] = [
        ("trellis.events", "default", [], {}),
        ("a", "app.yaml", [], {}),
        ("b", "kafka.env", [], {}),
        ("c", "environment KAFKA_TOPIC", [], {"KAFKA_TOPIC": "c"}),
        (
            "d",
            "environment TRELLIS_KAFKA__TOPIC",
            [],
            {"KAFKA_TOPIC": "c", "TRELLIS_KAFKA__TOPIC": "d"},
        ),
        ("e", "--set", ["kafka.topic=x", "kafka.topic=e"], {"TRELLIS_KAFKA__TOPIC": "d"}),
    ]
    for value, origin, overrides, environ in steps:
        if origin == "app.yaml":
            (config_dir / "app.yaml").write_text("kafka: {topic: a}")
        if origin == "kafka.env":
            (config_dir / "kafka.env").write_text("KAFKA_TOPIC=b\n")
        config = load(config_dir, overrides, environ)
        assert (config.kafka.topic, config.origins[key]) == (value, origin)


def test_data_option_wins_and_the_other_folders_follow_it(config_dir: Path, tmp_path: Path) -> None:
    (config_dir / "app.yaml").write_text("paths: {data: elsewhere, blobs: /srv/blobs}")
    config = load_config(config_dir, tmp_path / "d", ["paths.data=x"], {})
    assert config.paths.data == tmp_path / "d"
    assert config.paths.model_cache == tmp_path / "d" / "model_cache"
    assert config.paths.blobs == Path("/srv/blobs")
    assert config.origins["paths.data"] == "--data"


def test_data_folder_is_taken_from_the_working_directory(
    config_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(config_dir).paths.data == tmp_path / "data"


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("duckdb.threads=3", 3),
        ("duckdb.memory_limit_bytes=2GiB", 2 * 2**30),
        ("duckdb.queue_bytes=2000000", 2_000_000),
        ("shutdown.grace_s=500ms", 0.5),
        ("shutdown.grace_s=2", 2.0),
        ("kafka.group_id=no", "no"),
        ("kafka.group_id=007", "007"),
        ("kafka.oldest=2001-02-03", datetime.datetime(2001, 2, 3, tzinfo=datetime.UTC)),
        (
            "kafka.oldest=2001-02-03T04:00:00+02:00",
            datetime.datetime(2001, 2, 3, 2, tzinfo=datetime.UTC),
        ),
        ("log.level=debug", "DEBUG"),
        ("log.levels={store: debug}", {"store": "DEBUG"}),
        ("workers.pools={train: 1}", {"train": 1}),
        ("retention.events_days=30", 30),
        ("retention.events_days=null", None),
        ("redis.url=redis://h=1", Secret("redis://h=1")),
    ],
)
def test_override_is_read_as_its_setting_wants_it(
    config_dir: Path, override: str, value: object
) -> None:
    section, name = override.split("=", maxsplit=1)[0].split(".")
    assert getattr(getattr(load(config_dir, [override]), section), name) == value


def test_yaml_date_is_a_moment(config_dir: Path) -> None:
    (config_dir / "app.yaml").write_text("kafka: {oldest: 1999-01-01}")
    oldest = datetime.datetime(1999, 1, 1, tzinfo=datetime.UTC)
    assert load(config_dir).kafka.oldest == oldest


def test_empty_override_takes_a_value_away(config_dir: Path, problems: Lines) -> None:
    (config_dir / "redis.env").write_text("REDIS_URL=redis://h")
    assert load(config_dir).redis.url == Secret("redis://h")
    assert load(config_dir, ["redis.url="]).redis.url is None
    assert problems(overrides=["log.format="]) == [
        "--set: log.format: found nothing; allowed: auto, json, human"
    ]


@pytest.mark.parametrize("key", ["kafka.group_id", "redis.url", "security.auth_token"])
def test_null_takes_an_optional_text_away_wherever_it_is_written(
    config_dir: Path, key: str
) -> None:
    section, name = key.split(".")
    variable = f"TRELLIS_{section}__{name}".upper()
    value = "redis://h" if key == "redis.url" else "something"
    (config_dir / "app.yaml").write_text(f"{section}: {{{name}: '{value}'}}")
    assert getattr(getattr(load(config_dir), section), name) is not None
    for config in (
        load(config_dir, [f"{key}=null"]),
        load(config_dir, environ={variable: "null"}),
    ):
        assert getattr(getattr(config, section), name) is None
    (config_dir / "app.yaml").write_text(f"{section}: {{{name}: null}}")
    assert getattr(getattr(load(config_dir), section), name) is None


def test_null_in_an_env_file_takes_a_value_away(config_dir: Path) -> None:
    (config_dir / "kafka.env").write_text("KAFKA_GROUP_ID=null\n")
    assert load(config_dir).kafka.group_id is None
    (config_dir / "app.yaml").write_text("kafka: {group_id: 'null'}")
    (config_dir / "kafka.env").unlink()
    assert load(config_dir).kafka.group_id == "null"


def test_null_is_a_text_like_others_where_a_text_is_needed(config_dir: Path) -> None:
    assert load(config_dir, ["kafka.topic=null"]).kafka.topic == "null"


def test_empty_variables_and_env_lines_are_not_set(config_dir: Path) -> None:
    (config_dir / "redis.env").write_text("REDIS_URL=\n")
    (config_dir / "duckdb.env").write_text("DUCKDB_THREADS=''\n")
    environ = {"KAFKA_TOPIC": "", "TRELLIS_LOG__FORMAT": ""}
    config = load(config_dir, environ=environ)
    assert config.redis.url is None
    assert config.origins["duckdb.threads"] == "app.yaml"
    assert config.origins["kafka.topic"] == "app.yaml"


def test_env_file_takes_comments_blanks_quotes_and_windows_line_ends(config_dir: Path) -> None:
    (config_dir / "kafka.env").write_bytes(
        b"\xef\xbb\xbf# a comment\r\n\r\nKAFKA_TOPIC = spaced \r\n"
        b"KAFKA_BOOTSTRAP_SERVERS=a:1\r\nKAFKA_SECURITY_PROTOCOL=sasl_plaintext\r\n"
        b"KAFKA_SASL_USERNAME='me # too'\r\nKAFKA_SASL_PASSWORD=\"pa#ss=w'ord\"\r\n"
    )
    kafka = load(config_dir).kafka
    assert kafka.topic == "spaced"
    assert kafka.security_protocol == "SASL_PLAINTEXT"
    assert kafka.sasl_username == "me # too"
    assert kafka.sasl_password == Secret("pa#ss=w'ord")


def test_env_files_may_be_absent(config_dir: Path) -> None:
    for path in config_dir.glob("*.env"):
        path.unlink()
    assert load(config_dir).redis.url is None


def test_section_with_all_keys_commented_out_is_empty(config_dir: Path) -> None:
    (config_dir / "app.yaml").write_text("redis:\n  # url: x\nkafka:\n")
    assert load(config_dir).kafka.topic == "trellis.events"


LINE = "KEY=VALUE, a comment or a blank line"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("nonsense", f": found a line of another form; allowed: {LINE}"),
        ("export REDIS_URL=redis://h", f": found a line of another form; allowed: {LINE}"),
        ("redis_url=redis://h", f": found a line of another form; allowed: {LINE}"),
        ("=x", f": found a line of another form; allowed: {LINE}"),
        ("REDIS_URL='redis://h", f": found a value whose quote is not closed; allowed: {LINE}"),
        (
            "REDIS_URL=redis://h # main",
            f": found a value followed by what may be a comment; allowed: {LINE}",
        ),
        (
            "REDIS_ULR=redis://h",
            ": REDIS_ULR: found an unknown key; allowed: REDIS_URL; did you mean REDIS_URL?",
        ),
        ("DUCKDB_THREADS=2", ": found an unknown key; allowed: REDIS_URL"),
        (
            "REDIS_URL=localhost",
            (
                ": REDIS_URL: found a URL of another form; allowed: a URL that starts with "
                "redis://, rediss://, unix:// (a secret, never shown)"
            ),
        ),
        (
            "REDIS_URL=redis://a\nREDIS_URL=redis://b",
            ": REDIS_URL: found the key a second time (first on line 2); allowed: each key once",
        ),
    ],
)
def test_unfit_env_line_is_reported(problems: Lines, line: str, problem: str) -> None:
    number = 2 + line.count("\n")
    assert problems({"redis.env": f"# redis\n{line}\n"}) == [f"redis.env:{number}{problem}"]


def test_env_value_of_another_type_is_read_as_yaml_and_judged(problems: Lines) -> None:
    text = "DUCKDB_THREADS=many\nDUCKDB_READER_THREADS=[1\nDUCKDB_MEMORY_LIMIT=1\n"
    assert problems({"duckdb.env": text}) == [
        (
            "duckdb.env:1: DUCKDB_THREADS: found the text 'many'; allowed: a whole number from 1 "
            "to 256"
        ),
        (
            "duckdb.env:2: DUCKDB_READER_THREADS: found text that is no YAML value; allowed: a "
            "YAML value"
        ),
        (
            "duckdb.env:3: DUCKDB_MEMORY_LIMIT: found the number 1; allowed: a size such as 64KiB, "
            "256MB or 1GiB, from 64MiB to 1TiB"
        ),
    ]


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("redis.url", "found argument 1 of another form; allowed: section.key=value"),
        ("=x", "found argument 1 of another form; allowed: section.key=value"),
        ("a b=x", "found argument 1 of another form; allowed: section.key=value"),
        (
            "shutdown.grace=5",
            (
                "shutdown.grace: found an unknown key; allowed: section.key of app.yaml; did you "
                "mean shutdown.grace_s?"
            ),
        ),
        (
            "features.views_5m.window=1m",
            "features.views_5m.window: found an unknown key; allowed: section.key of app.yaml",
        ),
        (
            "duckdb.threads=[",
            "duckdb.threads: found text that is no YAML value; allowed: a YAML value",
        ),
        (
            "duckdb.threads=\udcff",
            "duckdb.threads: found text that is no YAML value; allowed: a YAML value",
        ),
        (
            "log.levels={store: loud}",
            "log.levels.store: found the text 'loud'; allowed: DEBUG, INFO, WARNING, ERROR",
        ),
    ],
)
def test_unfit_override_is_reported(problems: Lines, override: str, problem: str) -> None:
    assert problems(overrides=[override]) == [f"--set: {problem}"]


def test_variable_that_sets_nothing_is_reported(problems: Lines) -> None:
    environ = {"TRELLIS_REDIS_URL": "x", "TRELLIS_ZZZZ": "", "TRELLISED": "x", "PATH": "/bin"}
    found = "found a variable that sets nothing; allowed: TRELLIS_SECTION__KEY with a section"
    assert problems(environ=environ) == [
        (
            f"environment: TRELLIS_REDIS_URL: {found} and key of app.yaml; did you mean "
            "TRELLIS_REDIS__URL?"
        ),
        f"environment: TRELLIS_ZZZZ: {found} and key of app.yaml",
    ]


def test_name_from_outside_is_shown_without_control_characters(problems: Lines) -> None:
    (line,) = problems(environ={"TRELLIS_\x1b[31m\udcff": "x"})
    assert line.startswith("environment: TRELLIS_\\x1b[31m\\udcff: found")

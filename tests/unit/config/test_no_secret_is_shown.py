"""A marker planted wherever a secret can stand never comes out of loading."""

import logging
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import pytest

from engine.config import ConfigError, EngineConfig, Problem, describe_config, load_config
from engine.config.describe import find_secrets

MARKER = "hunter2Marker"

SOUND_ENV_FILES = {
    "azure.env": f"AZURE_STORAGE_CONNECTION_STRING=AccountName=a;AccountKey={MARKER};\n",
    "redis.env": f"REDIS_URL=rediss://me:{MARKER}@redis.example:6380/0\n",
    "kafka.env": (
        "KAFKA_BOOTSTRAP_SERVERS=broker.example:9093\nKAFKA_SECURITY_PROTOCOL=SASL_SSL\n"
        f"KAFKA_SASL_USERNAME=me\nKAFKA_SASL_PASSWORD={MARKER}\nKAFKA_SSL_KEY_PASSWORD={MARKER}\n"
    ),
}
TOKEN = {"TRELLIS_SECURITY__AUTH_TOKEN": MARKER}


def printed(value: object) -> str:
    parts = [str(value), repr(value), f"{value}"]
    if attrs.has(type(value)):
        parts += [str(attrs.asdict(value)), str(attrs.astuple(value))]  # type: ignore[arg-type]
    return "\n".join(parts)


def emitted(
    config_dir: Path,
    caplog: pytest.LogCaptureFixture,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> str:
    """Return everything that loading gives, logs or raises, as text."""
    caplog.set_level(logging.DEBUG)

    def fail(config: EngineConfig) -> Sequence[Problem]:
        return [Problem("features.yaml", "", printed(config), printed(config.redis))]

    texts = []
    for checks in ((), (fail,)):
        try:
            config = load_config(config_dir, None, overrides, environ or {}, checks)
        except ConfigError as error:
            texts += [printed(error), *map(printed, error.problems)]
            texts += ["".join(traceback.format_exception(error))]
            context = error.__context__
            assert context is None
        else:
            texts += [printed(config), *map(printed, describe_config(config))]
            texts += [printed(getattr(config, field.name)) for field in attrs.fields(EngineConfig)]
    return "\n".join([*texts, caplog.text])


def test_secrets_of_every_source_are_masked(
    config_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, text in SOUND_ENV_FILES.items():
        (config_dir / name).write_text(text)
    text = emitted(config_dir, caplog, environ=TOKEN)
    assert MARKER not in text
    assert "***" in text
    config = load_config(config_dir, None, [], TOKEN)
    assert sum(MARKER in secret.reveal() for secret in find_secrets(config)) == 5
    shown = {row.key: row.value for row in describe_config(config)}
    assert shown["redis.url"] == shown["security.auth_token"] == "***"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("redis.env", f"REDIS_URL=http://me:{MARKER}@h"),
        ("redis.env", f"REDIS_URL=redis://me:{MARKER} @h"),
        ("redis.env", f"REDIS_URL='redis://me:{MARKER}@h"),
        ("redis.env", f"REDIS_URL=redis://me:{MARKER}@h # note"),
        ("redis.env", f"REDIS_URL=redis://:{MARKER}@h:notaport/0"),
        ("redis.env", f"REDIS_URL=redis://h:{MARKER}/0"),
        ("redis.env", f"REDIS_URL=redis://:1/{MARKER}@h/0"),
        ("redis.env", f"REDIS_URL=redis://h/0?{MARKER}=1"),
        ("redis.env", f"REDIS_ULR=redis://me:{MARKER}@h"),
        ("redis.env", f"redis://me:{MARKER}@h"),
        ("redis.env", f"{MARKER}"),
        ("redis.env", f"{MARKER}=="),
        ("redis.env", f"{MARKER.upper()}=="),
        ("redis.env", f"REDIS_URL=redis://a\nREDIS_URL=redis://me:{MARKER}@h"),
        ("redis.env", f"REDIS_URL=redis://me:{MARKER}\x00@h"),
        ("azure.env", f"AZURE_STORAGE_ACCOUNT_URL=https://h/?sig={MARKER}"),
        ("azure.env", f"AZURE_STORAGE_ACCOUNT_URL=https://me:{MARKER}@h/"),
        ("azure.env", f"AZURE_STORAGE_CONTAINER=AccountKey={MARKER}"),
        ("azure.env", f"AZURE_STORAGE_CONNECTION_STRING=AccountKey={MARKER}\x07"),
        ("kafka.env", f"KAFKA_BOOTSTRAP_SERVERS=me:{MARKER}@h:1"),
        ("kafka.env", f"KAFKA_SASL_PASSWORD={MARKER}"),
        ("kafka.env", f"KAFKA_SASL_PASSWORD={MARKER}{'x' * 9000}"),
        ("duckdb.env", f"DUCKDB_MEMORY_LIMT={MARKER}"),
        ("app.yaml", f"redis: {{url: [{MARKER}]}}"),
        ("app.yaml", f"redis: {{url: redis://me:{MARKER}@h\n"),
        ("app.yaml", f'redis: {{url: "redis://me:{MARKER}@h}}\n'),
        ("app.yaml", f"redis: {{url: &a redis://me:{MARKER}@h, url: *a}}"),
        ("app.yaml", f"redis: {{url: !{MARKER} x}}"),
        ("app.yaml", f"redis: {{url: *{MARKER}}}"),
        ("app.yaml", f"redis:\n\turl: {MARKER}"),
        ("app.yaml", f"redis: redis://me:{MARKER}@h"),
        ("app.yaml", f"redis: {{uri: redis://me:{MARKER}@h}}"),
        ("app.yaml", f"security: {{auth_token: [{MARKER}]}}"),
        ("app.yaml", f'security: {{auth_token: "{MARKER}\\n"}}'),
        ("app.yaml", f"kafka: {{sasl_password: {MARKER}}}"),
    ],
)
def test_unfit_secret_is_not_quoted(
    config_dir: Path, caplog: pytest.LogCaptureFixture, name: str, text: str
) -> None:
    (config_dir / name).write_text(text)
    output = emitted(config_dir, caplog)
    assert f"{name}" in output
    assert MARKER.lower() not in output.lower()


@pytest.mark.parametrize(
    "override",
    [
        f"redis.url=http://me:{MARKER}@h",
        f"redis.url:{MARKER}",
        f"redis://me:{MARKER}@h",
        f"redis://me:{MARKER}@h/?a=b",
        f"redis.ulr=redis://me:{MARKER}@h",
        f"security.auth_token={MARKER}\n",
        f"security.auth_token={MARKER}\udcff",
    ],
)
def test_unfit_override_is_not_quoted(
    config_dir: Path, caplog: pytest.LogCaptureFixture, override: str
) -> None:
    output = emitted(config_dir, caplog, overrides=[override])
    assert "--set" in output
    assert MARKER not in output


@pytest.mark.parametrize(
    "name", ["REDIS_URL", "TRELLIS_REDIS__URL", "TRELLIS_REDIS_URL", "TRELLIS_SECRET"]
)
def test_unfit_variable_is_not_quoted(
    config_dir: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    output = emitted(config_dir, caplog, environ={name: f"http://me:{MARKER}@h"})
    assert name in output
    assert MARKER not in output

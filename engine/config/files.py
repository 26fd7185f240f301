"""The configuration folder's files as text."""

import stat
from pathlib import Path

from engine.config.problems import Problem, nearest_name

APP_FILE = "app.yaml"
FEATURES_FILE = "features.yaml"
MODELS_FILE = "models.yaml"
ENV_FILES = ("azure.env", "duckdb.env", "redis.env", "kafka.env")
YAML_FILES = (APP_FILE, FEATURES_FILE, MODELS_FILE)

# A hundred times the shipped files; a larger one is no configuration.
MAX_FILE_BYTES = 2**20


def read_text(path: Path) -> tuple[str | None, list[Problem]]:
    """Read a whole file as UTF-8.

    Returns: the text, or None and what kept it from being read. Never blocks on a pipe and never
      reads more than the limit.
    """
    name = path.name
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None, [Problem(name, "", "something that is not a file", "a file")]
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None, [Problem(name, "", f"no such file in {path.parent}", "a readable file")]
    except OSError as error:
        return None, [
            Problem(name, "", f"an unreadable file ({error.strerror})", "a readable file")
        ]
    if len(content) > MAX_FILE_BYTES:
        return None, [Problem(name, "", "a larger file", f"at most {MAX_FILE_BYTES} bytes")]
    try:
        return content.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return None, [Problem(name, "", "bytes that are not UTF-8", "UTF-8 text", line=line)]


def find_stray_files(config_dir: Path) -> list[Problem]:
    """Return a problem for each configuration file that nothing would read, `kafka.yml` say."""
    known = (*YAML_FILES, *ENV_FILES)
    try:
        names = sorted(entry.name for entry in config_dir.iterdir())
    except OSError:
        # The files themselves are reported as unreadable, each by name.
        return []
    return [
        Problem(
            name,
            "",
            "a file that Trellis does not read",
            ", ".join(known),
            nearest_name(name, known),
        )
        for name in names
        if name.endswith((".yaml", ".yml", ".env")) and name not in known
    ]

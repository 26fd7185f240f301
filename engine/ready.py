"""What a running engine says of itself: the ready line, and the file the command line reads."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

FILE_NAME = "engine.json"


@attrs.frozen
class ReadyInfo:
    """Addresses of a running engine; `host:port` each, by their `server_ports` key."""

    pid: int
    addresses: dict[str, str]
    kafka: str
    topic: str
    started_at: datetime

    def as_json(self) -> str:
        """Return one line of JSON: every address under its key, then the rest."""
        return json.dumps(
            {
                **self.addresses,
                "pid": self.pid,
                "kafka": self.kafka,
                "topic": self.topic,
                "started_at": self.started_at.isoformat(),
            }
        )

    def write(self, data_dir: Path) -> None:
        """Leave the line in `engine.json` for the command line to find, complete or not at all."""
        draft = data_dir / f"{FILE_NAME}.tmp"
        draft.write_text(self.as_json() + "\n", encoding="utf-8")
        draft.replace(data_dir / FILE_NAME)


def remove_ready_file(data_dir: Path) -> None:
    """Remove the file of an engine that has stopped in order."""
    (data_dir / FILE_NAME).unlink(missing_ok=True)


def read_ready_file(data_dir: Path) -> dict[str, Any] | None:
    """Return what the engine on this folder left, or None when none runs there.

    A file whose process is gone was left by an engine that was killed.
    """
    try:
        found: dict[str, Any] = json.loads((data_dir / FILE_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found if _is_running(int(found["pid"])) else None


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

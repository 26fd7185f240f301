"""What a running engine says of itself: the ready line, and the file the command line reads."""

import json
import logging
import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from engine.private_files import write_private

logger = logging.getLogger(__name__)

FILE_NAME = "engine.json"

_ADDRESSES = ("service_a", "service_b", "service_d", "control", "metrics")
_ADDRESS = re.compile(r".+:[0-9]{1,5}", re.ASCII)
_PID_MAX = 2**31 - 1


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
        """Leave the line in `engine.json` for the command line to find, complete or not at all.

        Raises:
          FailedPreconditionError: the folder takes no file.
        """
        write_private(data_dir / FILE_NAME, self.as_json() + "\n")


def remove_ready_file(data_dir: Path) -> None:
    """Remove the file of an engine that stops in order.

    One that cannot be removed is only reported: with its process gone it counts as none.
    """
    try:
        (data_dir / FILE_NAME).unlink(missing_ok=True)
    except OSError as error:
        logger.warning("ready file stays", extra={"detail": str(error)})


def read_ready_file(data_dir: Path) -> dict[str, Any] | None:
    """Return what the engine on this folder left, or None when none runs there.

    A file whose process is gone was left by an engine that was killed.

    Raises:
      OSError: the file cannot be read.
      ValueError: it is none that an engine of this version wrote.
    """
    try:
        text = (data_dir / FILE_NAME).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("it holds no JSON object")  # noqa: TRY004  wrong content, not a wrong call
    pid = found.get("pid")
    if type(pid) is not int or not 0 < pid <= _PID_MAX:
        raise ValueError("it names no process")
    if not _is_running(pid):
        return None
    _check_facts(found)
    return found


def _check_facts(found: dict[str, Any]) -> None:
    for name in (*_ADDRESSES, "kafka", "topic", "started_at"):
        if not isinstance(found.get(name), str):
            raise ValueError(f"it lacks {name}")  # noqa: TRY004  as above
    for name in _ADDRESSES:
        if not _ADDRESS.fullmatch(found[name]):
            raise ValueError(f"its {name} is no address")
    if datetime.fromisoformat(found["started_at"]).tzinfo is None:
        raise ValueError("its started_at has no offset")


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

"""Finding the engine that runs on a data folder."""

from pathlib import Path
from typing import Any

import attrs

from engine.cli.command_lines import write_command
from engine.errors import TrellisError, UnavailableError
from engine.ready import FILE_NAME, read_ready_file


@attrs.frozen
class RunningEngine:
    """Where a running engine is reached.

    Attributes:
      facts: what the engine wrote when it was ready.
    """

    facts: dict[str, Any]

    def address(self, port: str) -> tuple[str, int]:
        """Return host and port of a server by its `server_ports` key."""
        host, _, number = str(self.facts[port]).rpartition(":")
        return host.strip("[]"), int(number)

    @property
    def kafka(self) -> str:
        return str(self.facts["kafka"])

    @property
    def topic(self) -> str:
        return str(self.facts["topic"])


def find_engine(data_dir: Path) -> RunningEngine:
    """Return the engine that runs on a data folder.

    Raises:
      UnavailableError: none does.
      TrellisError: what it left there cannot be read.
    """
    try:
        facts = read_ready_file(data_dir)
    except OSError as error:
        raise TrellisError(
            f"{data_dir / FILE_NAME} cannot be read: {error.strerror}; is {data_dir} the data "
            "folder?"
        ) from error
    except ValueError as error:
        raise TrellisError(
            f"{data_dir / FILE_NAME} cannot be read ({error}); restart the engine"
        ) from error
    if facts is None:
        raise UnavailableError(
            f"no engine is running on {data_dir}; start it with: {write_command(data_dir=data_dir)}"
        )
    return RunningEngine(facts)

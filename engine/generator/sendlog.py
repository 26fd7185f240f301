"""The independent record of what a broker acknowledged, for checking what an engine kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec

from engine.generator.batches import Batch

_ENCODER = msgspec.json.Encoder()


class _KeyFields(msgspec.Struct):
    user_id: int
    action: str
    timestamp: str | int | float
    value: int | float | None = None


class SendLog:
    """One JSON line an acknowledged message: its key fields and the hash of its bytes.

    A malformed message has no fields; its line says `"malformed": true`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def append(self, batch: Batch) -> None:
        """Record a batch; call it after the broker acknowledged every message of it.

        Returns once the lines are with the operating system, so they outlive this process. A few
        kilobytes to its cache do not hold up the event loop.
        """
        lines = []
        for position, (key, value) in enumerate(batch.messages):
            line: dict[str, object] = {"key": key.decode(), "sha256": sha256(value).hexdigest()}
            if position in batch.malformed:
                line["malformed"] = True
            else:
                fields = msgspec.json.decode(value, type=_KeyFields)
                line |= msgspec.structs.asdict(fields)
            lines.append(line)
        self._file.write(_ENCODER.encode_lines(lines))
        self._file.flush()


@contextmanager
def open_send_log(path: Path | None) -> Iterator[SendLog | None]:
    """Open a log for appending; without a path there is none."""
    if path is None:
        yield None
        return
    with path.open("ab") as file:
        yield SendLog(file)

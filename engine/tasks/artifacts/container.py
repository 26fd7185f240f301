"""The archive of an artifact: what is looked at before anything in it is read.

Members are stored as they are, so what they hold in all is what the archive weighs, and no small
file becomes a large one.
"""

import io
import re
import struct
import zipfile
from collections.abc import Mapping
from typing import Final

from engine.tasks.artifacts.refusals import MALFORMED, TOO_LARGE, ArtifactRefusedError

SCHEMA: Final = "schema.json"
SIGNATURE: Final = "signature.json"

MAX_BYTES: Final = 256 << 20
"""Of an artifact. It is held in memory, several times over while it is loaded."""

_DIRECTORY_BYTES: Final = (
    8 << 20
)  # room for some 100,000 members; each takes memory when it is read
_NAME: Final = re.compile(r"(schema|signature)\.json|[0-9]{1,20}\.npy", re.ASCII)

_END: Final = struct.Struct("<4s4H2LH")
_END_MAGIC: Final = b"PK\x05\x06"
_LARGE_MAGIC: Final = b"PK\x06\x07"
_LARGE_LOCATOR_BYTES: Final = 20

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


def write_members(members: Mapping[str, bytes]) -> bytes:
    """Return the archive; the same bytes for the same members in the same order."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    return sink.getvalue()


def read_members(content: bytes) -> dict[str, bytes]:
    """Return the members by name.

    Raises:
      ArtifactRefusedError: it is too large, or no archive such as `write_members` makes.
    """
    check_size(len(content))
    _check_directory(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_members(archive.infolist(), len(content))
            return {member.filename: archive.read(member) for member in archive.infolist()}
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise ArtifactRefusedError(MALFORMED, f"it is no sound archive: {error}") from None


def check_size(size_bytes: int) -> None:
    """Refuse what is too large. Raises ArtifactRefusedError."""
    if size_bytes > MAX_BYTES:
        raise ArtifactRefusedError(
            TOO_LARGE,
            f"it has {size_bytes >> 20} MiB, at most {MAX_BYTES >> 20} are taken; limit the depth "
            "or the number of its trees",
        )


def _check_directory(content: bytes) -> None:
    """Refuse an archive whose list of members is elsewhere than ours, or too long to be read."""
    if len(content) < _END.size:
        raise ArtifactRefusedError(MALFORMED, "it is no archive")
    magic, _, _, _, _, directory_bytes, _, comment_bytes = _END.unpack(content[-_END.size :])
    if magic != _END_MAGIC or comment_bytes:
        raise ArtifactRefusedError(MALFORMED, "it does not end as an archive of ours")
    locator = content[-_END.size - _LARGE_LOCATOR_BYTES :][: len(_LARGE_MAGIC)]
    if locator == _LARGE_MAGIC or directory_bytes > _DIRECTORY_BYTES:
        raise ArtifactRefusedError(MALFORMED, "its list of members is too long")


def _check_members(members: list[zipfile.ZipInfo], size_bytes: int) -> None:
    names = {member.filename for member in members}
    if len(names) != len(members) or not {SCHEMA, SIGNATURE} <= names:
        raise ArtifactRefusedError(MALFORMED, "a member is missing or there twice")
    for member in members:
        if not _NAME.fullmatch(member.filename):
            shown = ascii(member.filename)[:80]
            raise ArtifactRefusedError(MALFORMED, f"it holds {shown}, which is no part of a model")
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            raise ArtifactRefusedError(MALFORMED, f"{member.filename} is compressed or encrypted")
        if member.file_size != member.compress_size:
            raise ArtifactRefusedError(MALFORMED, f"{member.filename} says two sizes")
    if sum(member.file_size for member in members) > size_bytes:
        raise ArtifactRefusedError(MALFORMED, "its members overlap")

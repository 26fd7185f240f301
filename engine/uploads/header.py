"""What a sender says of a file, and the check of it. Pure."""

import difflib
import re
from collections.abc import Mapping

import attrs

from engine.config.definitions import UploadSpec
from engine.errors import InvalidArgumentError, NotFoundError, ResourceExhaustedError

_MOST_NAME_CHARACTERS = 255
_MOST_KEY_CHARACTERS = 200
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@attrs.frozen
class UploadHeader:
    """The beginning of an upload. Empty texts and None say nothing."""

    dataset: str
    filename: str = ""
    content_type: str = ""
    idempotency_key: str = ""
    size_bytes: int | None = None
    sha256: str = ""


def check_header(
    header: UploadHeader, datasets: Mapping[str, UploadSpec], *, max_bytes: int
) -> UploadSpec:
    """Return the definition of the dataset that a file is for.

    Raises:
      InvalidArgumentError: names the field that is not acceptable.
      NotFoundError: there is no such dataset.
      ResourceExhaustedError: the file is larger than may be sent.
    """
    for field in ("filename", "content_type"):
        _check_text(field, getattr(header, field), _MOST_NAME_CHARACTERS)
    _check_text("idempotency_key", header.idempotency_key, _MOST_KEY_CHARACTERS)
    if header.sha256 and not _SHA256.fullmatch(header.sha256):
        raise InvalidArgumentError("sha256", "has 64 hexadecimal digits")
    if header.size_bytes is not None:
        if header.size_bytes < 0:
            raise InvalidArgumentError("size_bytes", "is not negative")
        check_size(header.size_bytes, max_bytes)
    dataset = datasets.get(header.dataset)
    if dataset is None:
        name = header.dataset[:128]
        raise NotFoundError("dataset", name, difflib.get_close_matches(name, datasets))
    return dataset


def check_size(size_bytes: int, max_bytes: int) -> None:
    """Refuse a file that is too large.

    Raises:
      ResourceExhaustedError: it is larger than the setting allows.
    """
    if size_bytes > max_bytes:
        raise ResourceExhaustedError(
            f"the file is larger than uploads.max_bytes ({max_bytes} bytes); split it, or raise "
            "the setting"
        )


def _check_text(field: str, text: str, most: int) -> None:
    if len(text) > most or not text.isprintable():
        raise InvalidArgumentError(field, f"is at most {most} printable characters")

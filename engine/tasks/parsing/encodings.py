"""Text in the encodings that say what they are: UTF-8, and UTF-16 that starts with a byte order
mark. Any other would have to be guessed, and wrong guesses read well."""

import codecs
import re
from collections.abc import Iterable, Iterator

import attrs

from engine.tasks.parsing.refusals import Refusal, RefusedFileError

_UTF_32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NAMES = {
    "utf8": "utf-8",
    "usascii": "utf-8",
    "ascii": "utf-8",
    "utf16": "utf-16",
    "utf16le": "utf-16",
    "utf16be": "utf-16",
}
"""Character sets a content type may name, without dashes."""

_NUL_IN_EVERY_SECOND_BYTE = re.compile(rb"(?:[ -~]\0){2}|(?:\0[ -~]){2}")
"""How ASCII looks in UTF-16."""

_ADVICE = "save the file as UTF-8 and send it again"


@attrs.frozen
class Encoding:
    """How the bytes of a file are text."""

    name: str
    mark_bytes: int
    """Length of the byte order mark at its start."""


def detect_encoding(head: bytes, charset: str) -> Encoding:
    """Return the encoding of a text file.

    Args:
      head: how it starts.
      charset: what its content type says, or nothing.
    Raises:
      RefusedFileError: it is none of those that are read.
    """
    named = _NAMES.get(charset.replace("-", "").replace("_", "").lower())
    if charset and named is None:
        raise _refuse(f"the content type says charset {charset[:40]!a}; {_ADVICE}")
    if head.startswith(_UTF_32):
        raise _refuse(f"the file is UTF-32; {_ADVICE}")
    for mark, name in _MARKS:
        if head.startswith(mark):
            return Encoding(name, len(mark))
    if named == "utf-16" or _NUL_IN_EVERY_SECOND_BYTE.match(head):
        raise _refuse(f"the file seems to be UTF-16 without a byte order mark; {_ADVICE}")
    return Encoding("utf-8", 0)


def to_utf8(pieces: Iterable[bytes], encoding: Encoding) -> Iterator[bytes]:
    """Yield the pieces as UTF-8 without the mark at the start.

    Halves of surrogate pairs become bytes that are no UTF-8, so that only their row is rejected;
    bytes of a UTF-8 file are not looked at here.

    Raises:
      RefusedFileError: a UTF-16 file ends within a character.
    """
    iterator = iter(pieces)
    first = next(iterator, b"")[encoding.mark_bytes :]
    if encoding.name == "utf-8":
        if first:
            yield first
        yield from iterator
        return
    decoder = codecs.getincrementaldecoder(encoding.name)("surrogatepass")
    yield decoder.decode(first).encode("utf-8", "surrogatepass")
    for piece in iterator:
        yield decoder.decode(piece).encode("utf-8", "surrogatepass")
    if decoder.getstate()[0]:
        raise _refuse(f"the UTF-16 text ends within a character; {_ADVICE}")


def _refuse(message: str) -> RefusedFileError:
    return RefusedFileError(Refusal.UNSUPPORTED_ENCODING, message)

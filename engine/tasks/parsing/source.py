"""A file as it streams in: in pieces of one size, its start seen before it is read."""

from collections.abc import Iterable, Iterator

from engine.tasks.parsing.encodings import Encoding, to_utf8
from engine.tasks.parsing.limits import HEAD_BYTES, PIECE_BYTES


def read_pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes of all chunks in pieces of `PIECE_BYTES`; the last one may be smaller.

    What is made of a file then does not depend on how it was cut on its way here.
    """
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= PIECE_BYTES:
            yield bytes(held[:PIECE_BYTES])
            del held[:PIECE_BYTES]
    if held:
        yield bytes(held)


class Source:
    """Pieces of a file, the first of which can be looked at before they are read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._pieces = read_pieces(chunks)
        self._first = next(self._pieces, b"")

    @property
    def head(self) -> bytes:
        """The first `HEAD_BYTES`, or all there is."""
        return self._first[:HEAD_BYTES]

    def read(self) -> Iterator[bytes]:
        """Yield the pieces, once."""
        first, self._first = self._first, b""
        if first:
            yield first
        yield from self._pieces


class TextSource:
    """A file that is text."""

    def __init__(self, source: Source, encoding: Encoding) -> None:
        self._source = source
        self._encoding = encoding

    def read(self) -> Iterator[bytes]:
        """Yield the text as pieces of UTF-8, once. Whether it is UTF-8 is found out row by row.

        Raises:
          RefusedFileError: a UTF-16 file ends within a character.
        """
        return to_utf8(self._source.read(), self._encoding)

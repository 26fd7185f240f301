"""One JSON document: an array of objects, an object whose `rows` is one, or a single object.

It is read element by element, so that its size does not matter. The standard library's scanner says
where an element ends; what it holds is then read as everywhere else. Where the document itself is
broken nothing after can be told apart, so the whole file is refused.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import NoReturn

from engine.tasks.parsing.batches import Batch
from engine.tasks.parsing.limits import BATCH_ROWS, MAX_ROW_BYTES, PIECE_BYTES
from engine.tasks.parsing.objects import ObjectReader
from engine.tasks.parsing.refusals import (
    Problem,
    Reason,
    Refusal,
    RefusedFileError,
    show_bytes,
)
from engine.tasks.parsing.source import TextSource

_ROWS = "rows"
_BLANKS = " \t\r\n"
_SOME_BLANKS = re.compile(f"[{_BLANKS}]+")
_ADVICE = "send one object a line (NDJSON), where a bad row does not spoil the others"
_LONGEST_LITERAL = len("-Infinity")

# Numbers stay text: nothing is made of them here, and no number is too large for that.
_scan = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).raw_decode


def read_json_document(source: TextSource, reader: ObjectReader) -> Iterator[Batch]:
    """Yield the rows of a JSON document.

    Raises:
      RefusedFileError: it is no JSON, or neither an object nor an array.
    """
    first = 1
    raws: list[bytes] = []
    too_large: dict[int, Problem] = {}
    pending_bytes = 0
    for raw in _read_rows(_Window(source)):
        if len(raw) > MAX_ROW_BYTES:
            detail = f"the row has {len(raw)} bytes, allowed are {MAX_ROW_BYTES}"
            too_large[len(raws)] = Problem(Reason.ROW_TOO_LARGE, detail, show_bytes(raw))
            raws.append(b"")
        else:
            raws.append(raw)
        pending_bytes += len(raw)
        if len(raws) == BATCH_ROWS or pending_bytes >= PIECE_BYTES:
            yield reader.read(range(first, first + len(raws)), raws, too_large)
            first += len(raws)
            raws, too_large, pending_bytes = [], {}, 0
    if raws:
        yield reader.read(range(first, first + len(raws)), raws, too_large)


def _read_rows(window: "_Window") -> Iterator[bytes]:
    match window.peek():
        case "[":
            window.take("[")
            yield from _read_elements(window)
        case "{":
            yield from _read_object(window)
        case "":
            raise RefusedFileError(Refusal.EMPTY_FILE, "the file holds no rows: it is blank")
        case _:
            window.refuse("it starts with neither '[' nor '{'")
    if window.peek():
        window.refuse("something follows the end of the document")


def _read_elements(window: "_Window") -> Iterator[bytes]:
    """Yield the rows of an array whose opening bracket is read."""
    if window.peek() == "]":
        window.take("]")
        return
    while True:
        yield window.take_value().encode("utf-8", "surrogateescape")
        window.row += 1
        if window.take(",]") == "]":
            return


def _read_object(window: "_Window") -> Iterator[bytes]:
    """Yield the rows of the object's `rows`, or the object itself where that is no array."""
    texts: list[str] = []
    size = 0
    has_rows = False
    window.take("{")
    mark = "}" if window.peek() == "}" else ","
    while mark == ",":
        if window.peek() != '"':
            window.refuse("a name in double quotes is expected")
        name = window.take_value()
        window.take(":")
        if window.peek() == "[" and json.loads(name) == _ROWS:
            if has_rows:
                window.refuse("it has `rows` twice")
            has_rows = True
            window.take("[")
            yield from _read_elements(window)
        else:
            texts.append(f"{name}:{window.take_value()}")
            size += len(texts[-1])
            if size > MAX_ROW_BYTES:
                window.refuse(f"an object has more than {MAX_ROW_BYTES} bytes beside `rows`")
        mark = window.take(",}")
    if not has_rows:
        yield f"{{{','.join(texts)}}}".encode("utf-8", "surrogateescape")


class _Window:
    """A part of the document, ahead of where it is read, that holds any row whole."""

    def __init__(self, source: TextSource) -> None:
        self._pieces = source.read()
        # Bytes that are no UTF-8 are kept as they are for whoever reads their row.
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._at = 0
        self._dropped = 0
        self._is_whole = False
        self.row = 1
        """Number of the row that is being read."""

    def peek(self) -> str:
        """Return the next character that is not blank; nothing at the end."""
        while True:
            if self._at < len(self._text):
                found = self._text[self._at]
                if found not in _BLANKS:
                    return found
                blanks = _SOME_BLANKS.match(self._text, self._at)
                assert blanks is not None
                self._at = blanks.end()
            elif self._is_whole:
                return ""
            else:
                self._fill(1)

    def take(self, expected: str) -> str:
        """Go past the next character, which must be one of these, and return it."""
        found = self.peek()
        if not found or found not in expected:
            what = f"{found!a} is found" if found else "the document ends"
            self.refuse(f"{what} where {' or '.join(map(repr, expected))} is expected")
        self._at += 1
        return found

    def take_value(self) -> str:
        """Go past the next value and return its text."""
        if not self.peek():
            self.refuse("the document ends where a value is expected")
        self._fill(MAX_ROW_BYTES + 1)
        start = self._at
        try:
            _, end = _scan(self._text, start)
        except RecursionError:
            self.refuse("arrays and objects are nested too deeply")
        except json.JSONDecodeError as error:
            self._refuse_value(error)
        if end - start > MAX_ROW_BYTES:
            self._refuse_large()
        self._at = end
        return self._text[start:end]

    def refuse(self, what: str) -> NoReturn:
        """Refuse the document for what stands here."""
        raise RefusedFileError(
            Refusal.MALFORMED_JSON,
            f"the file is no JSON document: {what}, at character {self._dropped + self._at} (row "
            f"{self.row}); {_ADVICE}",
        )

    def _refuse_value(self, error: json.JSONDecodeError) -> NoReturn:
        """Tell a value that is broken from one that goes on past what is held of it."""
        start = self._at
        piece = self._text[start : start + MAX_ROW_BYTES + 1]
        if len(piece) <= MAX_ROW_BYTES:
            self._at = error.pos
            self.refuse(error.msg)
        # What is found must not depend on how much more than this happens to be held.
        try:
            _scan(piece)
        except json.JSONDecodeError as cut:
            is_open = cut.msg.startswith("Unterminated string")
            if not is_open and cut.pos < len(piece) - _LONGEST_LITERAL:
                self._at = start + cut.pos
                self.refuse(cut.msg)
        self._refuse_large()

    def _refuse_large(self) -> NoReturn:
        self.refuse(f"a value is larger than {MAX_ROW_BYTES} bytes or its quotes are not closed")

    def _fill(self, ahead: int) -> None:
        """Read on until so many characters are held ahead, or all of them."""
        while not self._is_whole and len(self._text) - self._at < ahead:
            piece = next(self._pieces, None)
            self._is_whole = piece is None
            text = self._decoder.decode(piece or b"", final=self._is_whole)
            self._text = self._text[self._at :] + text
            self._dropped += self._at
            self._at = 0

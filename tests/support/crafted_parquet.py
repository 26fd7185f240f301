"""Parquet files that no writer would write: footer and pages are made field by field."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

INT32, INT64, DOUBLE, BYTE_ARRAY = 1, 2, 5, 6
"""Physical types."""
REQUIRED, OPTIONAL, REPEATED = 0, 1, 2
PLAIN, RLE, DELTA_BINARY_PACKED, DELTA_BYTE_ARRAY, RLE_DICTIONARY = 0, 3, 5, 7, 8
UNCOMPRESSED, SNAPPY, GZIP, LZO, ZSTD = 0, 1, 2, 3, 6
_DATA_PAGE, _DICTIONARY_PAGE = 0, 2
UTF8 = 0
"""Converted type."""

Fields = Mapping[int, Any]
"""Of a Thrift struct, by number: bool, int (32 bits), Long, bytes, str, list, Fields."""


class Long(int):
    """An integer of 64 bits."""


@attrs.frozen
class Raw:
    """A field as it goes over the wire, whatever that is."""

    kind: int
    content: bytes


def varint(number: int) -> bytes:
    """Return a number without a sign in the compact protocol."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def encode_struct(fields: Fields) -> bytes:
    """Return a Thrift struct in the compact protocol."""
    out = b""
    before = 0
    for number, value in sorted(fields.items()):
        kind, content = _encode(value)
        step = number - before
        out += bytes([step << 4 | kind]) if step < 16 else bytes([kind]) + _zigzag(number)
        out += content
        before = number
    return out + b"\0"


def _zigzag(number: int) -> bytes:
    return varint((number << 1) ^ (number >> 63))


def _encode(value: Any) -> tuple[int, bytes]:
    match value:
        case Raw():
            return value.kind, value.content
        case bool():
            return (1 if value else 2), b""
        case Long():
            return 6, _zigzag(value)
        case int():
            return 5, _zigzag(value)
        case str() | bytes():
            content = value.encode() if isinstance(value, str) else value
            return 8, varint(len(content)) + content
        case list():
            encoded = [_encode(item) for item in value]
            kind = encoded[0][0] if encoded else 5
            count = len(encoded)
            head = (
                bytes([count << 4 | kind]) if count < 15 else bytes([0xF0 | kind]) + varint(count)
            )
            return 9, head + b"".join(content for _, content in encoded)
        case _:
            return 12, encode_struct(value)


def data_page(
    content: bytes,
    values: int,
    *,
    encoding: int = PLAIN,
    size_bytes: int | None = None,
    stored_bytes: int | None = None,
) -> bytes:
    """Return a page of values; `size_bytes` is what the header says they take uncompressed."""
    header = {
        1: _DATA_PAGE,
        2: len(content) if size_bytes is None else size_bytes,
        3: len(content) if stored_bytes is None else stored_bytes,
        5: {1: values, 2: encoding, 3: RLE, 4: RLE},
    }
    return encode_struct(header) + content


def dictionary_page(content: bytes, values: int, *, size_bytes: int | None = None) -> bytes:
    """Return the page that a column chunk's dictionary is in."""
    header = {
        1: _DICTIONARY_PAGE,
        2: len(content) if size_bytes is None else size_bytes,
        3: len(content),
        7: {1: values, 2: PLAIN},
    }
    return encode_struct(header) + content


def plain_integers(*numbers: int) -> bytes:
    """Return values of a column of INT64."""
    return struct.pack(f"<{len(numbers)}q", *numbers)


def repeated_index(count: int) -> bytes:
    """Return so many indices, all 0, into a dictionary."""
    return b"\1" + varint(count << 1) + b"\0"


@attrs.frozen(kw_only=True)
class Chunk:
    """One column in the only row group, and what the footer says of it."""

    name: str
    content: bytes
    values: int
    type: int = INT64
    codec: int = UNCOMPRESSED
    repetition: int = REQUIRED
    converted: int | None = None
    has_dictionary: bool = False
    said: Fields = attrs.field(factory=dict)
    """Fields of its metadata in place of the true ones."""


def file_of(
    chunks: Sequence[Chunk],
    *,
    rows: int,
    group_rows: int | None = None,
    groups: int = 1,
    footer: Fields | None = None,
) -> bytes:
    """Return a file with one row group, told `groups` times.

    Args:
      rows: what the footer says of the whole file.
      group_rows: what it says of the group.
      footer: fields in place of the true ones.
    """
    body = bytearray(b"PAR1")
    columns: list[Any] = []
    schema: list[Any] = [{4: "schema", 5: len(chunks)}]
    for chunk in chunks:
        element: dict[int, Any] = {1: chunk.type, 3: chunk.repetition, 4: chunk.name}
        if chunk.converted is not None:
            element[6] = chunk.converted
        schema.append(element)
        meta: dict[int, Any] = {
            1: chunk.type,
            2: [PLAIN, RLE, RLE_DICTIONARY],
            3: [chunk.name],
            4: chunk.codec,
            5: Long(chunk.values),
            6: Long(len(chunk.content)),
            7: Long(len(chunk.content)),
            9: Long(len(body)),
        }
        if chunk.has_dictionary:
            meta[11] = Long(len(body))
        columns.append({2: Long(len(body)), 3: {**meta, **chunk.said}})
        body += chunk.content
    group = {
        1: columns,
        2: Long(len(body)),
        3: Long(rows if group_rows is None else group_rows),
    }
    fields = {1: 1, 2: schema, 3: Long(rows), 4: [group] * groups, **(footer or {})}
    return bytes(body) + close(encode_struct(fields))


def close(footer: bytes, *, said_bytes: int | None = None) -> bytes:
    """Return the end of a file: footer, its length, and the mark."""
    length = len(footer) if said_bytes is None else said_bytes
    return footer + struct.pack("<I", length) + b"PAR1"

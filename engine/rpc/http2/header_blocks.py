"""HPACK (RFC 7541) for a peer that sends almost the same header block with every call.

Decoding is remembered by the block's bytes: while the dynamic table stands still, equal bytes mean
equal fields, and a gRPC client's calls to one method are equal bytes. Any change of the dynamic
table forgets everything. What is remembered is not the fields but what the user of the codec made
of them (`interpret`), so a repeated block costs one look-up.

Encoding never touches the dynamic table, so that blocks can be encoded once and sent on every
connection, and so that our peers' decoders may remember them too.

The package `hpack` supplies the static table and Huffman decoding. Its decoder is not used: its
integers are unbounded, which lets a 16 KiB block cost a peer of ours tens of milliseconds.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Generic, TypeVar

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from engine.rpc.http2.frames import DEFAULT_HEADER_TABLE_BYTES

Field = tuple[bytes, bytes]
T = TypeVar("T")

_STATIC: Final[tuple[Field, ...]] = HeaderTable.STATIC_TABLE
_STATIC_INDEX: Final = {field: index for index, field in reversed(list(enumerate(_STATIC, 1)))}
_STATIC_NAME_INDEX: Final = {
    name: index for index, (name, _) in reversed(list(enumerate(_STATIC, 1)))
}
_ENTRY_OVERHEAD_BYTES: Final = 32  # RFC 7541, section 4.1

# What one connection remembers. Blocks are some hundred bytes, methods some dozen.
_MEMO_ENTRIES: Final = 256

# No integer of a header block (an index, a length, a table size) needs more than four
# continuation octets: 2**28 is far beyond every limit.
_MAX_INTEGER_OCTETS: Final = 4

TABLE_SIZE_ZERO: Final = b"\x20"
"""Prefix of the next block once a peer shrinks the table: we do without it for good."""


class HeaderBlockError(Exception):
    """The block cannot be decoded; the connection's compression state is lost."""


class HeaderListTooLargeError(Exception):
    """The decoded list is over the limit; the compression state is intact."""


def _read_integer(block: bytes, position: int, prefix_mask: int) -> tuple[int, int]:
    """Return the integer at `position` and the position after it; IndexError at the end."""
    value = block[position] & prefix_mask
    position += 1
    if value < prefix_mask:
        return value, position
    for shift in range(0, 7 * _MAX_INTEGER_OCTETS, 7):
        octet = block[position]
        position += 1
        value += (octet & 0x7F) << shift
        if octet < 0x80:
            return value, position
    raise HeaderBlockError("an integer is out of range")


def _read_string(block: bytes, position: int) -> tuple[bytes, int]:
    """Return the string at `position` and the position after it; IndexError at the end."""
    huffman = block[position] & 0x80
    length, position = _read_integer(block, position, 0x7F)
    end = position + length
    if end > len(block):
        raise HeaderBlockError("a string is cut short")
    text = block[position:end]
    if huffman:
        try:
            text = decode_huffman(text)
        except HPACKDecodingError as error:
            raise HeaderBlockError("a string's Huffman code is invalid") from error
    return text, end


class HeaderDecoder(Generic[T]):
    """One direction of a connection: its dynamic table and what its blocks meant."""

    def __init__(
        self, interpret: Callable[[tuple[Field, ...]], T], max_header_list_bytes: int
    ) -> None:
        self._interpret = interpret
        self._max_list_bytes = max_header_list_bytes
        self._dynamic: deque[Field] = deque()
        self._dynamic_bytes = 0
        self._max_dynamic_bytes = DEFAULT_HEADER_TABLE_BYTES
        self._memo: dict[bytes, T] = {}

    def decode(self, block: bytes) -> T:
        """Return the meaning of a header block.

        Raises:
          HeaderBlockError: the block is malformed.
          HeaderListTooLargeError: the fields are over the limit.
        """
        known = self._memo.get(block)
        if known is not None:
            return known
        try:
            fields, stateless = self._decode(block)
        except IndexError:
            raise HeaderBlockError("the block is cut short") from None
        meaning = self._interpret(fields)
        if stateless:
            if len(self._memo) >= _MEMO_ENTRIES:
                self._memo.clear()
            self._memo[block] = meaning
        else:
            self._memo.clear()
        return meaning

    def _decode(self, block: bytes) -> tuple[tuple[Field, ...], bool]:
        """Return the fields, and whether the dynamic table is as it was before."""
        fields: list[Field] = []
        list_bytes = 0
        stateless = True
        position, end = 0, len(block)
        while position < end:
            octet = block[position]
            if octet & 0x80:
                index, position = _read_integer(block, position, 0x7F)
                field = self._field_at(index)
            elif octet & 0x40:
                field, position = self._read_literal(block, position, 0x3F)
                self._insert(field)
                stateless = False
            elif octet & 0x20:
                if fields:
                    raise HeaderBlockError("the table's size changes after a field")
                size, position = _read_integer(block, position, 0x1F)
                self._resize(size)
                stateless = False
                continue
            else:
                field, position = self._read_literal(block, position, 0x0F)
            list_bytes += len(field[0]) + len(field[1]) + _ENTRY_OVERHEAD_BYTES
            # Past the limit, go on decoding to keep the table right, but keep nothing.
            if list_bytes <= self._max_list_bytes:
                fields.append(field)
        if list_bytes > self._max_list_bytes:
            if not stateless:
                self._memo.clear()
            raise HeaderListTooLargeError
        return tuple(fields), stateless

    def _read_literal(self, block: bytes, position: int, index_mask: int) -> tuple[Field, int]:
        index, position = _read_integer(block, position, index_mask)
        if index:
            name = self._field_at(index)[0]
        else:
            name, position = _read_string(block, position)
        value, position = _read_string(block, position)
        return (name, value), position

    def _field_at(self, index: int) -> Field:
        if 0 < index <= len(_STATIC):
            return _STATIC[index - 1]
        if 0 < index - len(_STATIC) <= len(self._dynamic):
            return self._dynamic[index - len(_STATIC) - 1]
        raise HeaderBlockError("an index points at nothing")

    def _insert(self, field: Field) -> None:
        self._dynamic.appendleft(field)
        self._dynamic_bytes += len(field[0]) + len(field[1]) + _ENTRY_OVERHEAD_BYTES
        self._evict()

    def _resize(self, size: int) -> None:
        if size > DEFAULT_HEADER_TABLE_BYTES:
            raise HeaderBlockError("the table's size is over our setting")
        self._max_dynamic_bytes = size
        self._evict()

    def _evict(self) -> None:
        while self._dynamic_bytes > self._max_dynamic_bytes:
            name, value = self._dynamic.pop()
            self._dynamic_bytes -= len(name) + len(value) + _ENTRY_OVERHEAD_BYTES


def _pack_integer(value: int, prefix_mask: int, pattern: int) -> bytes:
    if value < prefix_mask:
        return bytes((pattern | value,))
    octets = bytearray((pattern | prefix_mask,))
    value -= prefix_mask
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def encode_headers(fields: Iterable[Field]) -> bytes:
    """Return a header block that means the same on every connection at any time."""
    parts: list[bytes] = []
    for field in fields:
        static_index = _STATIC_INDEX.get(field)
        if static_index is not None:
            parts.append(_pack_integer(static_index, 0x7F, 0x80))
            continue
        name, value = field
        name_index = _STATIC_NAME_INDEX.get(name, 0)
        parts.append(_pack_integer(name_index, 0x0F, 0x00))
        if not name_index:
            parts += (_pack_integer(len(name), 0x7F, 0x00), name)
        parts += (_pack_integer(len(value), 0x7F, 0x00), value)
    return b"".join(parts)

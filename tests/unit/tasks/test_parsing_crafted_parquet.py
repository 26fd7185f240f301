"""Parquet files that say what is not so: each is refused, quickly and within bounds."""

import io
import resource
import struct
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.tasks.parsing import Format, RefusedFileError
from engine.tasks.parsing.limits import MIB, PARQUET_MEMORY_BYTES
from tests.support.crafted_parquet import (
    BYTE_ARRAY,
    DELTA_BINARY_PACKED,
    GZIP,
    LZO,
    REPEATED,
    RLE_DICTIONARY,
    UTF8,
    ZSTD,
    Chunk,
    Long,
    close,
    data_page,
    dictionary_page,
    file_of,
    plain_integers,
    repeated_index,
    varint,
)
from tests.support.parsed_file import parse

AT_S = 1746093600
HUGE = 2**31 - 1
KEY = data_page(plain_integers(1), 1)


def column(name: str, content: bytes, values: int = 1, **other: object) -> Chunk:
    return Chunk(name=name, content=content, values=values, **other)  # type: ignore[arg-type]


def profiles(key: Chunk, *others: Chunk, rows: int = 1, **footer: object) -> bytes:
    times = repeated("updated_at", AT_S, rows)
    return file_of([key, times, *others], rows=rows, **footer)  # type: ignore[arg-type]


def repeated(name: str, number: int, count: int) -> Chunk:
    """Return one number so many times, in a few bytes."""
    indices = data_page(repeated_index(count), count, encoding=RLE_DICTIONARY)
    pages = dictionary_page(plain_integers(number), 1) + indices
    return column(name, pages, count, has_dictionary=True)


def key_of(content: bytes, values: int = 1, **other: object) -> bytes:
    return profiles(column("user_id", content, values, **other), rows=values)


def texts(pages: bytes, values: int, **other: object) -> bytes:
    plans = column("plan", pages, values, type=BYTE_ARRAY, converted=UTF8, **other)
    return profiles(repeated("user_id", 1, values), plans, rows=values)


def with_footer(**fields: object) -> bytes:
    numbered = {int(name.removeprefix("f")): value for name, value in fields.items()}
    return profiles(column("user_id", KEY), footer=numbered)


def deep_schema(levels: int, repetition: int) -> bytes:
    key, at = ({1: 2, 3: 0, 4: name} for name in ("user_id", "updated_at"))
    inner = [{3: repetition, 4: "inner", 5: 1} for _ in range(levels)]
    return with_footer(f2=[{4: "schema", 5: 3}, key, at, *inner, {1: 2, 3: 0, 4: "leaf"}])


def zeros(size_bytes: int, codec: str) -> bytes:
    return bytes(pa.compress(bytes(size_bytes), codec=codec, asbytes=True))


def outside_of_the_dictionary() -> bytes:
    indices = b"\x20" + varint(10 << 1) + b"\xff\xff\xff\x7f"
    text = dictionary_page(struct.pack("<I", 1) + b"x", 1)
    return texts(text + data_page(indices, 10, encoding=RLE_DICTIONARY), 10, has_dictionary=True)


def many_long_texts_in_a_few_bytes() -> bytes:
    count, text = 200_000, b"x" * 60_000
    pages = dictionary_page(struct.pack("<I", len(text)) + text, 1)
    pages += data_page(repeated_index(count), count, encoding=RLE_DICTIONARY)
    return texts(pages, count, has_dictionary=True)


SOUND = profiles(column("user_id", KEY))
META_OF_NOTHING = [{1: [{2: Long(4)}, {2: Long(4)}], 2: Long(1), 3: Long(1)}]
META_ELSEWHERE = [{1: [{1: "other.parquet", 2: Long(4)}] * 2, 2: Long(1), 3: Long(1)}]
META_ENCRYPTED = [{1: [{2: Long(4), 8: {1: {}}, 9: b"x"}] * 2, 2: Long(1), 3: Long(1)}]

DAMAGED = {
    "fewer rows in the file than said": lambda: key_of(data_page(b"", 0) * 9 + KEY),
    "more rows in the group than in the file": lambda: file_of(
        [repeated("user_id", 1, HUGE), repeated("updated_at", AT_S, HUGE)], rows=1, group_rows=HUGE
    ),
    "a negative number of rows": lambda: file_of(
        [column("user_id", KEY), repeated("updated_at", AT_S, 1)], rows=-1
    ),
    "a negative number of values": lambda: key_of(data_page(plain_integers(1), -1)),
    "more values than the page has": lambda: key_of(data_page(plain_integers(1), 1000), 1000),
    "columns of different lengths": lambda: file_of(
        [column("user_id", KEY), repeated("updated_at", AT_S, 5)], rows=5
    ),
    "a page of negative size": lambda: key_of(data_page(plain_integers(1), 1, size_bytes=-1)),
    "a page that holds more than it says": lambda: key_of(
        data_page(zeros(64 * MIB, "zstd"), 1, size_bytes=8), codec=ZSTD
    ),
    "a codec that nobody has": lambda: key_of(KEY, codec=99),
    "a codec that is not read": lambda: key_of(KEY, codec=LZO),
    "an encoding that nobody has": lambda: key_of(data_page(plain_integers(1), 1, encoding=77)),
    "a delta that ends early": lambda: key_of(
        data_page(b"\x80\x01\x04\xff\xff\xff\xff\x0f\0", 2**30, encoding=DELTA_BINARY_PACKED), 10**6
    ),
    "an index outside of its dictionary": outside_of_the_dictionary,
    "a text of absurd length": lambda: texts(data_page(b"\xff\xff\xff\x7fabc", 1), 1),
    "a text of negative length": lambda: texts(data_page(b"\xff\xff\xff\xffabc", 1), 1),
    "a page header of nested structs": lambda: key_of(b"\x1c" * MIB),
    "a footer of no bytes": lambda: SOUND[:-8] + close(b""),
    "a footer longer than the file": lambda: SOUND[:-8] + close(b"", said_bytes=2**32 - 1),
    "a list of absurd length": lambda: b"PAR1" + close(b"\x15\2\x19\xfc" + varint(HUGE)),
    "a name of absurd length": lambda: b"PAR1" + close(b"\x15\2\x68" + varint(HUGE) + b"abc"),
    "nested unknown structs": lambda: b"PAR1" + close(b"\x15\2\xdc" + b"\x1c" * MIB),
    "nested unknown lists": lambda: b"PAR1" + close(b"\x15\2\xd9" + b"\x19" * MIB),
    "a deep schema": lambda: deep_schema(50_000, 0),
    "a deep schema of lists": lambda: deep_schema(50_000, REPEATED),
    "an absurd number of children": lambda: with_footer(f2=[{4: "schema", 5: HUGE}]),
    "no schema": lambda: with_footer(f2=[]),
    "fewer chunks than columns": lambda: with_footer(f4=[{1: [], 2: Long(1), 3: Long(1)}]),
    "chunks that are not described": lambda: with_footer(f4=META_OF_NOTHING),
    "chunks in another file": lambda: with_footer(f4=META_ELSEWHERE),
    "encrypted chunks": lambda: with_footer(f4=META_ENCRYPTED),
    "an encrypted footer": lambda: SOUND[:-4] + b"PARE",
    "a negative place": lambda: profiles(column("user_id", KEY, said={9: Long(-9)})),
    "a place beyond the end": lambda: profiles(column("user_id", KEY, said={9: Long(2**62)})),
    "a chunk of absurd size": lambda: profiles(column("user_id", KEY, said={7: Long(2**62)})),
    "a schema of Arrow's that is none": lambda: with_footer(f5=[{1: "ARROW:schema", 2: "AAAA//"}]),
}
OTHERS = {
    "too_many_rows": lambda: file_of(
        [repeated("user_id", 1, HUGE), repeated("updated_at", AT_S, HUGE)], rows=HUGE
    ),
    "unsupported_type": lambda: key_of(KEY, repetition=REPEATED),
    "missing_column": lambda: file_of([], rows=5),
}
TOO_LARGE = {
    "a page of absurd size": lambda: key_of(data_page(plain_integers(1), 1, stored_bytes=HUGE)),
    "a dictionary of absurd size": lambda: key_of(
        dictionary_page(plain_integers(1), HUGE)
        + data_page(repeated_index(1), 1, encoding=RLE_DICTIONARY),
        has_dictionary=True,
    ),
    "a page that is small while compressed": lambda: key_of(
        data_page(zeros(MIB, "zstd"), 10, size_bytes=HUGE), 10, codec=ZSTD
    ),
    "a page that is small while compressed by gzip": lambda: key_of(
        data_page(zeros(MIB, "gzip"), 10, size_bytes=2**30), 10, codec=GZIP
    ),
    "many long texts in a few bytes": many_long_texts_in_a_few_bytes,
}


def refusal_of(content: bytes) -> str:
    """Return why a file is refused, which takes neither long nor much memory."""
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun_s = time.process_time()
    with pytest.raises(RefusedFileError) as refused:
        parse(content, Format.PARQUET)
    assert time.process_time() - begun_s < 10
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    assert grown_kib * 1024 < 1.2 * PARQUET_MEMORY_BYTES
    assert str(refused.value).isascii()
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400
    return str(refused.value.code)


def test_a_crafted_file_that_is_sound_is_read() -> None:
    found = parse(SOUND, Format.PARQUET)
    assert [key for key, _, _ in found.rows] == [1]
    assert parse(profiles(repeated("user_id", 7, 25_000), rows=25_000)).rows[-1][0] == 7


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_file_with_damage_is_refused(kind: str) -> None:
    assert refusal_of(DAMAGED[kind]()) == "malformed_parquet"


@pytest.mark.parametrize("kind", TOO_LARGE)
def test_a_file_that_grows_too_large_is_refused(kind: str) -> None:
    assert refusal_of(TOO_LARGE[kind]()) == "too_large"


@pytest.mark.parametrize("code", OTHERS)
def test_a_file_of_another_kind_is_refused_for_it(code: str) -> None:
    assert refusal_of(OTHERS[code]()) == code


def test_a_file_with_very_many_columns_is_refused() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({f"c{number}": [1] for number in range(5_000)}), sink)
    assert refusal_of(sink.getvalue()) == "too_many_columns"


def test_a_file_that_ends_early_is_refused_wherever_that_is() -> None:
    columns = {
        "user_id": list(range(50)),
        "updated_at": [AT_S] * 50,
        "plan": ["free", None] * 25,
        "score": [0.5] * 50,
    }
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    whole = sink.getvalue()
    for end in range(1, len(whole), 97):
        assert refusal_of(whole[:end]) == "malformed_parquet"

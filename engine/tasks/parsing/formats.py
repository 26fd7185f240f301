"""Which format a file has: by its content type, else its name, else its content."""

import enum

import msgspec

from engine.tasks.parsing.refusals import Refusal, RefusedFileError


class Format(enum.StrEnum):
    """What is read."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"


_PARQUET_MAGIC = b"PAR1"
_SEND_PLAIN = "send it uncompressed (Parquet compresses within)"
_SEND_ANOTHER = "send JSON, NDJSON, CSV or Parquet"
_FOREIGN = (
    (b"\x1f\x8b", Refusal.COMPRESSED, f"compressed by gzip; {_SEND_PLAIN}"),
    (b"PK\x03\x04", Refusal.COMPRESSED, "a zip archive or a workbook; send the table in it as CSV"),
    (b"PK\x05\x06", Refusal.COMPRESSED, "an empty zip archive"),
    (b"\x28\xb5\x2f\xfd", Refusal.COMPRESSED, f"compressed by zstd; {_SEND_PLAIN}"),
    (b"BZh", Refusal.COMPRESSED, f"compressed by bzip2; {_SEND_PLAIN}"),
    (b"\xfd7zXZ\x00", Refusal.COMPRESSED, f"compressed by xz; {_SEND_PLAIN}"),
    (b"\x04\x22\x4d\x18", Refusal.COMPRESSED, f"compressed by lz4; {_SEND_PLAIN}"),
    (b"\xff\x06\x00\x00sNaPpY", Refusal.COMPRESSED, f"compressed by snappy; {_SEND_PLAIN}"),
    (b"7z\xbc\xaf\x27\x1c", Refusal.COMPRESSED, "a 7z archive; send the file in it"),
    (b"Rar!\x1a\x07", Refusal.COMPRESSED, "a rar archive; send the file in it"),
    (b"PARE", Refusal.UNSUPPORTED_FORMAT, "an encrypted Parquet file; send it unencrypted"),
    (b"\xd0\xcf\x11\xe0", Refusal.UNSUPPORTED_FORMAT, "an old Excel workbook; send it as CSV"),
    (b"ARROW1", Refusal.UNSUPPORTED_FORMAT, f"an Arrow file; {_SEND_ANOTHER}"),
    (b"ORC", Refusal.UNSUPPORTED_FORMAT, f"an ORC file; {_SEND_ANOTHER}"),
    (b"Obj\x01", Refusal.UNSUPPORTED_FORMAT, f"an Avro file; {_SEND_ANOTHER}"),
    (b"SQLite format 3", Refusal.UNSUPPORTED_FORMAT, f"an SQLite database; {_SEND_ANOTHER}"),
    (b"%PDF", Refusal.UNSUPPORTED_FORMAT, f"a PDF; {_SEND_ANOTHER}"),
)
"""How files start that are sent by mistake. A text that starts so by chance is refused too: with
"ORC", say, which no header needs to."""

_BY_CONTENT_TYPE = {
    "application/json": Format.JSON,
    "text/json": Format.JSON,
    "application/x-ndjson": Format.NDJSON,
    "application/ndjson": Format.NDJSON,
    "application/jsonl": Format.NDJSON,
    "application/x-jsonlines": Format.NDJSON,
    "application/jsonlines": Format.NDJSON,
    "text/csv": Format.CSV,
    "application/csv": Format.CSV,
    "application/vnd.apache.parquet": Format.PARQUET,
    "application/x-parquet": Format.PARQUET,
    "application/parquet": Format.PARQUET,
}
_BY_EXTENSION = {
    "json": Format.JSON,
    "ndjson": Format.NDJSON,
    "jsonl": Format.NDJSON,
    "csv": Format.CSV,
    "parquet": Format.PARQUET,
    "pq": Format.PARQUET,
}


def named_format(content_type: str, filename: str) -> Format | None:
    """Return the format that a content type names, else that of a file's extension, if any."""
    media_type = content_type.partition(";")[0].strip().lower()
    extension = filename.rpartition(".")[2].lower()
    return _BY_CONTENT_TYPE.get(media_type) or _BY_EXTENSION.get(extension)


def named_charset(content_type: str) -> str:
    """Return the character set that a content type names, or nothing."""
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"')
    return ""


def is_parquet(head: bytes, named: Format | None) -> bool:
    """Return whether a file is Parquet.

    Args:
      head: how it starts.
      named: the format it is said to have.
    Raises:
      RefusedFileError: it is empty or none of those that are read; the message says what to send.
    """
    if not head:
        raise RefusedFileError(Refusal.EMPTY_FILE, "the file is empty: it has no bytes")
    for magic, code, what in _FOREIGN:
        if head.startswith(magic):
            raise RefusedFileError(code, f"the file is {what}")
    if head.startswith(_PARQUET_MAGIC):
        return True
    if named is Format.PARQUET:
        raise RefusedFileError(
            Refusal.MALFORMED_PARQUET, "the file is no Parquet: it does not start with PAR1"
        )
    return False


def text_format(head: bytes, named: Format | None) -> Format:
    """Return the format of a text.

    Args:
      head: how it starts, as UTF-8.
      named: the format it is said to have. Objects on lines of their own are told from a document
        all the same, since both are called JSON.
    """
    text = head.lstrip(b" \t\r\n")
    if named is Format.JSON or named is None:
        if text.startswith(b"{"):
            return Format.NDJSON if _has_object_on_first_line(text) else Format.JSON
        if text.startswith(b"["):
            return Format.JSON
    return named or Format.CSV


def _has_object_on_first_line(text: bytes) -> bool:
    line, line_break, rest = text.partition(b"\n")
    if not line_break or not rest.lstrip(b" \t\r\n").startswith(b"{"):
        return False
    try:
        msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True

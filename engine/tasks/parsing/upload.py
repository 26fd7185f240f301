"""A file of any format: from its bytes to batches of a dataset's rows."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from engine.tasks.parsing.batches import Batch
from engine.tasks.parsing.csv_table import read_csv
from engine.tasks.parsing.dataset import Dataset
from engine.tasks.parsing.encodings import detect_encoding, to_utf8
from engine.tasks.parsing.formats import (
    Format,
    is_parquet,
    named_charset,
    named_format,
    text_format,
)
from engine.tasks.parsing.json_document import read_json_document
from engine.tasks.parsing.ndjson import read_ndjson
from engine.tasks.parsing.objects import ObjectReader
from engine.tasks.parsing.parquet_table import read_parquet, spool
from engine.tasks.parsing.source import Source, TextSource
from engine.tasks.parsing.times import TimeRules
from engine.tasks.parsing.unknown import UnknownColumns


@attrs.frozen
class ParsedUpload:
    """A file that is being read."""

    format: Format
    unknown: UnknownColumns
    """Complete once all batches are read."""
    batches: Iterator[Batch]
    """The rows in the file's order; at most `BATCH_ROWS` in each, none in some. Reading them raises
    RefusedFileError where the file cannot be read further."""


@contextlib.contextmanager
def open_upload(
    chunks: Iterable[bytes],
    *,
    dataset: Dataset,
    rules: TimeRules,
    filename: str,
    content_type: str,
    scratch: Path,
) -> Iterator[ParsedUpload]:
    """Provide a file's rows.

    Args:
      chunks: its bytes, cut anywhere; how makes no difference to the result.
      filename: as the sender gave it; only its extension matters.
      content_type: as the sender gave it, with a charset or without; may be empty.
      scratch: a folder for what cannot be held in memory.
    Raises:
      RefusedFileError: it is none of the formats that are read.
      OSError: the scratch folder cannot be written.
    """
    source = Source(chunks)
    unknown = UnknownColumns()
    named = named_format(content_type, filename)
    with contextlib.ExitStack() as stack:
        if is_parquet(source.head, named):
            found = Format.PARQUET
            file = stack.enter_context(spool(source.read(), scratch))
            batches = read_parquet(file, dataset, rules, unknown)
        else:
            encoding = detect_encoding(source.head, named_charset(content_type))
            text = TextSource(source, encoding)
            found = text_format(next(to_utf8([source.head], encoding), b""), named)
            if found is Format.CSV:
                batches = read_csv(text, dataset, rules, unknown)
            else:
                reader = ObjectReader(dataset, rules, unknown)
                read = read_json_document if found is Format.JSON else read_ndjson
                batches = read(text, reader)
        yield ParsedUpload(found, unknown, batches)

"""One JSON object a line."""

from collections.abc import Iterator

from engine.tasks.parsing.batches import Batch
from engine.tasks.parsing.lines import read_lines
from engine.tasks.parsing.objects import ObjectReader
from engine.tasks.parsing.refusals import Refusal, RefusedFileError
from engine.tasks.parsing.rows import BLANK_BYTES
from engine.tasks.parsing.source import TextSource


def read_ndjson(source: TextSource, reader: ObjectReader) -> Iterator[Batch]:
    """Yield the rows of a text with a JSON object on each line; blank lines are no rows.

    Raises:
      RefusedFileError: there are no rows.
    """
    is_blank = True
    for block in read_lines(source.read()):
        if not block.too_long and not b"".join(block.lines).strip(BLANK_BYTES):
            continue
        numbers = range(block.first_number, block.first_number + len(block.lines))
        batch = reader.read(numbers, block.lines, block.too_long)
        is_blank = is_blank and not batch.row_count
        yield batch
    if is_blank:
        raise RefusedFileError(Refusal.EMPTY_FILE, "the file holds no rows: it is blank")

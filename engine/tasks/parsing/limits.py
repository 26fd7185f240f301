"""What a file may ask of a worker. Each bound is one that no honest file comes near."""

MIB = 1024 * 1024

MAX_ROWS = 50_000_000
"""Of one file. A Parquet file of a few kilobytes can claim billions."""

HOPELESS_ROWS = 100_000
"""A file of which so many rows are bad, and none good, is not read to its end: telling why takes
ten times as long as reading."""

MAX_UNDECLARED_COLUMNS = 1_000
"""Of one file or row, beside those of its dataset. Each name has to be looked at."""

MAX_ROW_BYTES = MIB
"""Of one row as it came (a line, a CSV record, an element of a JSON array) and as it is stored.
What is held of a row that does not end is bounded by this."""

MAX_STRING_CHARACTERS = 64 * 1024
"""Of one value. A feature is a category or a short text, no document."""

BATCH_ROWS = 10_000
"""Most rows passed on together: they are staged by one call."""

BATCH_VALUES = 500_000
"""Most values of a Parquet batch: what is a few bits there is an object each while it is read."""

BATCH_TEXT_BYTES = 4 * MIB
"""Most text of a Parquet batch: one long text there can stand in every row."""

PIECE_BYTES = MIB // 2
"""How much of a file is looked at together. It bounds memory, and at the usual 50 to 100 bytes a
row fills a batch."""

HEAD_BYTES = 64 * 1024
"""What is looked at to tell the format."""

MAX_NAMED_COLUMNS = 32
"""Names of columns nobody declared that are kept for the report; the others are counted as more."""

CSV_RESCAN_BYTES = 64 * MIB
"""Most bytes read a second time because quotes are not closed. A file built for it could have
each of its lines send the reader ahead by a whole row."""

PARQUET_MEMORY_BYTES = 512 * MIB
"""What reading a Parquet file may allocate: its pages are decompressed whole, and their sizes are
what the file says."""

EXPANSION = 1_000
"""Most bytes of rows for each byte of a Parquet file: below a byte a row nothing can tell one
entity from the next."""
EXPANSION_FREE_BYTES = 256 * MIB
"""Rows up to here are never held against the size of the file."""

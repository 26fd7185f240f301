-- A block of an uploaded file (1,024 parts, 4 MiB) is compressed before it is written: until a checkpoint
-- DuckDB holds what was appended as it came, in memory and in the write-ahead log.
-- raw_bytes: how many bytes a block's parts, joined, are decompressed to (zstd); NULL: they are
-- what was sent.

ALTER TABLE upload_parts ADD COLUMN raw_bytes INTEGER;

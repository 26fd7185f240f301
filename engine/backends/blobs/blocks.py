"""Cutting a stream of chunks of any size into blocks of one size."""

from collections.abc import Iterator


class BlockCutter:
    """Collects chunks and gives them out again in blocks; holds less than a block in between."""

    def __init__(self, block_bytes: int) -> None:
        self._block_bytes = block_bytes
        self._rest = bytearray()

    def add(self, chunk: bytes) -> Iterator[bytes]:
        """Take in a chunk; yield the blocks that are full now, to be consumed to the end."""
        view = memoryview(chunk)
        while len(self._rest) + len(view) >= self._block_bytes:
            missing = self._block_bytes - len(self._rest)
            if self._rest:
                self._rest += view[:missing]
                block = bytes(self._rest)
                self._rest.clear()
            else:
                block = bytes(view[:missing])
            view = view[missing:]
            yield block
        self._rest += view

    def finish(self) -> bytes:
        """Return what is left, which may be nothing."""
        return bytes(self._rest)

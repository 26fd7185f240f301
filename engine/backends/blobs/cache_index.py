"""Which artifacts the cache holds and which it lets go of first; knows no files."""

import attrs

from engine.errors import ResourceExhaustedError


@attrs.define(eq=False)
class CacheEntry:
    """One artifact on the disk. While it has pins somebody reads it, and it stays."""

    sha256: str
    file_name: str
    size_bytes: int
    pins: int = 0


class CacheIndex:
    """Entries by digest, least recently used first, and the room that is promised to fetches.

    What it counts is at most `max_bytes`, but for entries that were dropped while pinned.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: dict[str, CacheEntry] = {}
        self._reserved_bytes = 0

    @property
    def held_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self._entries.values())

    def get(self, sha256: str) -> CacheEntry | None:
        """Return an entry, which is now the most recently used."""
        entry = self._entries.pop(sha256, None)
        if entry is not None:
            self._entries[sha256] = entry
        return entry

    def add(self, entry: CacheEntry) -> CacheEntry | None:
        """Take in an entry; return the one it replaces."""
        replaced = self._entries.pop(entry.sha256, None)
        self._entries[entry.sha256] = entry
        return replaced

    def drop(self, entry: CacheEntry) -> bool:
        """Forget an entry; return False if it was forgotten before or has been replaced."""
        if self._entries.get(entry.sha256) is not entry:
            return False
        del self._entries[entry.sha256]
        return True

    def reserve(self, size_bytes: int) -> list[CacheEntry]:
        """Promise room to a fetch; return the entries that must go for it, already forgotten.

        Raises:
          ResourceExhaustedError: there cannot be so much room; nothing is forgotten.
        """
        if size_bytes > self._max_bytes:
            raise ResourceExhaustedError(
                f"an artifact of {size_bytes} bytes does not fit into a cache of "
                f"{self._max_bytes} (blobs.cache_bytes)"
            )
        missing = self.held_bytes + self._reserved_bytes + size_bytes - self._max_bytes
        victims = []
        for entry in self._entries.values():
            if missing <= 0:
                break
            if not entry.pins:
                victims.append(entry)
                missing -= entry.size_bytes
        if missing > 0:
            raise ResourceExhaustedError(
                f"the cache of {self._max_bytes} bytes (blobs.cache_bytes) is full of artifacts in "
                f"use; there is no room for {size_bytes} bytes",
                retry_after_s=1.0,
            )
        for victim in victims:
            del self._entries[victim.sha256]
        self._reserved_bytes += size_bytes
        return victims

    def shrink(self) -> list[CacheEntry]:
        """Return the entries that must go to keep the bound, already forgotten."""
        victims = []
        while self.held_bytes > self._max_bytes:
            oldest = next(iter(self._entries.values()))
            del self._entries[oldest.sha256]
            victims.append(oldest)
        return victims

    def release(self, size_bytes: int) -> None:
        """Take back a promise, since the fetch has failed or its entry is added now."""
        self._reserved_bytes -= size_bytes

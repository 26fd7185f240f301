"""Eight numbers that a worker shares with its host, readable even after its death.

The engine must know which of the jobs it handed to a worker was running when the worker died, and
a message could not tell: it would have to be sent before each job, and the last one gets lost.
Writing to shared memory costs the worker less than a microsecond.
"""

import enum
import fcntl
import hashlib
import mmap
import os
import struct
from typing import Final

import attrs

PAGE_BYTES: Final = 64
_LAYOUT: Final = struct.Struct("=8Q")
_VERSION: Final = 1
_VERSION_AT, _PHASE_AT, _BEGUN_AT, _RUNNING_AT, _PROGRESS_AT, _LATEST_AT = range(6)


class Phase(enum.IntEnum):
    """What a worker does, in its own view."""

    STARTING = 0
    IDLE = 1
    """It waits for jobs."""
    RUNNING = 2
    DELIVERING = 3
    """It hands in results."""
    LEAVING = 4


@attrs.frozen
class PageView:
    """A page at one moment.

    `begun` counts the jobs begun so far, `running` is the `token_mark` of the one in hand, if any,
    and `progress` that job's counter. `latest` is the mark of the job begun last, in hand or over.
    """

    phase: Phase
    begun: int
    running: int | None
    progress: int
    latest: int | None = None


def token_mark(token: str) -> int:
    """Return the number by which a page names the job that was claimed with this token."""
    digest = hashlib.blake2b(token.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


def encode_view(view: PageView) -> bytes:
    """Return the view as the bytes of a page."""
    running, latest = view.running or 0, view.latest or 0
    return _LAYOUT.pack(_VERSION, view.phase, view.begun, running, view.progress, latest, 0, 0)


def decode_view(page: bytes) -> PageView:
    """Return what a page says; one that no worker has written to yet, or not sanely, is STARTING.

    A job's code can scribble on the page as on any of its process' memory, and what comes from
    another machine may be shorter than a page.
    """
    if len(page) < PAGE_BYTES:
        return PageView(Phase.STARTING, 0, None, 0)
    version, phase, begun, running, progress, latest, *_ = _LAYOUT.unpack(page[:PAGE_BYTES])
    if version != _VERSION or phase >= len(Phase):
        return PageView(Phase.STARTING, 0, None, 0)
    return PageView(Phase(phase), begun, running or None, progress, latest or None)


class PageReader:
    """The host's side of a page, which it makes."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("trellis-worker", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        """To be handed to the worker, and closed by `close_fd` then."""
        os.ftruncate(self.fd, PAGE_BYTES)
        # Or a job could shrink it, and reading it would end the engine with SIGBUS.
        fcntl.fcntl(
            self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        )
        self._memory = mmap.mmap(self.fd, PAGE_BYTES, prot=mmap.PROT_READ)

    def close_fd(self) -> None:
        """Close the descriptor once it has been handed over."""
        os.close(self.fd)

    def read(self) -> PageView:
        """Return what the page says now."""
        return decode_view(self._memory[:])

    def close(self) -> PageView:
        """Return the page's last word and let go of it."""
        view = self.read()
        self._memory.close()
        return view


class PageWriter:
    """The worker's side of a page."""

    def __init__(self, fd: int) -> None:
        """Take over the descriptor that the host handed to the worker."""
        self._memory = mmap.mmap(fd, PAGE_BYTES)
        os.close(fd)
        # Whole aligned words: a reader never sees half of a number.
        self._words = memoryview(self._memory).cast("Q")
        self._words[_VERSION_AT] = _VERSION

    def set_phase(self, phase: Phase) -> None:
        """Say what the worker does."""
        self._words[_PHASE_AT] = phase

    def begin(self, token: str) -> None:
        """Say that a job is in hand."""
        self._words[_PROGRESS_AT] = 0
        self._words[_BEGUN_AT] += 1
        self._words[_LATEST_AT] = self._words[_RUNNING_AT] = token_mark(token)
        self._words[_PHASE_AT] = Phase.RUNNING

    def set_progress(self, counter: int) -> None:
        """Say how far the job is."""
        self._words[_PROGRESS_AT] = counter

    def end(self) -> None:
        """Say that no job is in hand any more."""
        self._words[_RUNNING_AT] = 0
        self._words[_PHASE_AT] = Phase.DELIVERING

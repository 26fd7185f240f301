"""Which versions are wanted at any time, which are in use, and which cannot score now. Pure."""

from collections.abc import Mapping

from engine.serving.failures import MakeError
from engine.serving.rows import VersionKey, VersionRows


class VersionNotes:
    """What is known of versions; times in seconds of one monotonic clock."""

    def __init__(self, forget_after_s: float) -> None:
        """Know nothing yet.

        Args:
          forget_after_s: how long a version counts as in use after somebody has asked for it.
        """
        self._forget_after_s = forget_after_s
        self.wanted: Mapping[VersionKey, VersionRows] = {}
        """Those that every worker is to have loaded."""
        self._used_s: dict[VersionKey, float] = {}
        self._errors: dict[VersionKey, tuple[MakeError, float]] = {}

    def want(self, versions: Mapping[VersionKey, VersionRows]) -> bool:
        """Say which versions are wanted; return whether any is new."""
        is_new = not versions.keys() <= self.wanted.keys()
        self.wanted = versions
        return is_new

    def note_use(self, key: VersionKey, now_s: float) -> None:
        """Take note that somebody asks for a version."""
        self._used_s[key] = now_s

    def is_needed(self, key: VersionKey, now_s: float) -> bool:
        """Return whether a version is wanted, or was asked for lately."""
        return key in self.wanted or self._used_s.get(key, 0.0) >= now_s - self._forget_after_s

    def note_failure(self, key: VersionKey, make_error: MakeError, until_s: float) -> None:
        """Take note that no worker can score with a version, and until when that is taken as so."""
        self._errors[key] = (make_error, until_s)

    def note_success(self, key: VersionKey) -> None:
        """Take note that a worker can."""
        self._errors.pop(key, None)

    def check(self, key: VersionKey, now_s: float) -> None:
        """Raise TrellisError if no worker can score with a version, as was found a moment ago."""
        make_error, until_s = self._errors.get(key, (None, 0.0))
        if make_error is not None and now_s < until_s:
            raise make_error()

    def tidy(self, now_s: float) -> None:
        """Forget what does not matter any more."""
        idle_s = now_s - self._forget_after_s
        self._used_s = {key: at_s for key, at_s in self._used_s.items() if at_s >= idle_s}
        self._errors = {key: one for key, one in self._errors.items() if one[1] > now_s}

"""Which lookups may answer otherwise than before: counted by the tables that commits touch."""

from typing import Final

from engine.records import Append, Commit, Upsert

_BY_TABLE: Final = {
    "job_log": ("jobs", "replacements"),
    "job_outcomes": ("jobs", "replacements"),
    "worker_log": ("replacements", "workers"),
    "dead_letters": ("dead_letters",),
    "models": ("models",),
    "model_versions": ("models",),
    "model_aliases": ("models",),
    "model_artifacts": ("models",),
    "drift_reports": ("drift",),
}


class Revisions:
    """Counters by lookup."""

    def __init__(self) -> None:
        names = {name for names in _BY_TABLE.values() for name in names}
        self._counts = dict.fromkeys(sorted(names), 0)

    def note_commit(self, commit: Commit) -> None:
        """Count what a commit touched. A commit listener."""
        touched: set[str] = set()
        for request in commit.requests:
            for operation in request.operations:
                if isinstance(operation, Append | Upsert):
                    touched.update(_BY_TABLE.get(operation.table, ()))
        for name in touched:
            self._counts[name] += 1

    def snapshot(self) -> dict[str, int]:
        """Return the counters as they are now."""
        return dict(self._counts)

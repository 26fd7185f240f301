"""Workers that score, and the batches they are given. Pure."""

from typing import Final

import attrs

from engine.serving.rows import Asker, Row, VersionKey, VersionRows

_MOST_CALLERS: Final = 8
"""So many are named: a line of the log stays a line, whatever the load."""


@attrs.frozen
class Scorer:
    """A worker under the lease by which it scores."""

    worker_id: str
    job_id: str
    token: str


@attrs.frozen(eq=False)
class Batch:
    """Rows for a worker, all of one version. Without rows: it is to load the version."""

    number: int
    of: VersionRows
    rows: tuple[Row, ...]
    scorer: Scorer
    began_s: float

    def find_callers(self) -> tuple[list[str], list[str]]:
        """Return the ids of calls that the rows are for, and their traces; a few, if many."""
        request_ids: list[str] = []
        trace_ids: list[str] = []
        last: Asker | None = None
        for row in self.rows:
            asker = row.asker
            if asker is last:
                continue  # a call's rows stand together
            last = asker
            if asker.request_id and asker.request_id not in request_ids:
                request_ids.append(asker.request_id)
            if asker.trace_id and asker.trace_id not in trace_ids:
                trace_ids.append(asker.trace_id)
            if len(request_ids) == _MOST_CALLERS or len(trace_ids) == _MOST_CALLERS:
                break
        return request_ids, trace_ids


@attrs.define
class ScorerState:
    """What is known of a worker that scores."""

    loaded: frozenset[VersionKey] = frozenset()
    batch: Batch | None = None
    refused: dict[VersionKey, float] = attrs.field(factory=dict)
    """Versions it cannot score with, and until when it is not asked again."""

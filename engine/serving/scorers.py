"""Workers that score, and the batches they are given. Pure."""

import attrs

from engine.serving.rows import Row, VersionKey, VersionRows


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


@attrs.define
class ScorerState:
    """What is known of a worker that scores."""

    loaded: frozenset[VersionKey] = frozenset()
    batch: Batch | None = None
    refused: dict[VersionKey, float] = attrs.field(factory=dict)
    """Versions it cannot score with, and until when it is not asked again."""

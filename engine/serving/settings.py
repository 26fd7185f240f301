"""Limits of serving."""

import attrs


@attrs.frozen(kw_only=True)
class ServingSettings:
    """Times in seconds."""

    timeout_s: float = 30.0
    """How long a caller waits who has set no earlier deadline."""
    batch_rows: int = 256
    """Most rows in a batch: larger ones hardly score faster, and hold up who comes next."""
    queue_rows: int = 8_192
    """Rows that may wait. A single caller's may be more if nobody else waits."""
    hedge_after_s: float = 0.5
    """A batch under way for so long is given to another worker, too; the first answer counts. A
    batch takes milliseconds, but a worker may be stopped."""
    most_attempts: int = 4
    """A row that was lost with so many workers is given up."""
    refused_s: float = 2.0
    """A worker that cannot load a version is not asked again for so long."""
    forget_after_s: float = 60.0
    """A version that is no alias's, and that nobody has asked for so long, is unloaded."""
    look_s: float = 0.02
    """How often it is looked whether workers that have a batch are still there."""

"""What the jobs need to know of the configuration."""

import attrs


@attrs.frozen
class JobsSettings:
    """How jobs are tried again, and what is kept of them; defaults suit most engines."""

    retry_first_s: float = 1.0
    """Least delay before a job that has failed once is tried again."""
    retry_longest_s: float = 300.0
    """The delay doubles with each failure up to this."""
    result_ttl_s: float = 86_400.0
    """How long Redis keeps results and errors; the data file keeps them on."""
    redis_threads: int = 4
    """Calls of Redis at once."""
    reserved_pools: frozenset[str] = frozenset()
    """Pools from which only slots get jobs that ask for them by name: jobs that stay for good would
    else take the places of those that come and go."""

"""The settings of worker processes, and of the types of job that they do."""

# ruff: noqa: RUF009 - `setting` describes a field, as attrs.field does; it is no shared default.

from collections.abc import Mapping
from typing import Annotated

import attrs

from engine.config.kinds import Text
from engine.config.quantities import Duration, Integer, Size
from engine.config.setting_fields import (
    DAY_S,
    GIB,
    MIB,
    Count,
    Identifier,
    ShortDuration,
    mapping_setting,
    setting,
)

BUILT_IN_JOB_TYPES = ("process_upload", "train", "detect_drift", "score")
"""Types of job that Trellis brings along; a setting of theirs may differ, their handler may not."""

DEFAULT_POOL = "default"
"""The pool of jobs that name none."""

HandlerName = Annotated[
    str,
    Text(
        "a function as package.module:function",
        r"[A-Za-z_]\w{0,62}(?:\.[A-Za-z_]\w{0,62}){0,15}:[A-Za-z_]\w{0,62}",
    ),
]


@attrs.frozen
class JobTypeConfig:
    """A type of job. Under a name that Trellis does not bring along it is one of your own, which
    `JobService.SubmitJob` accepts.
    """

    handler: HandlerName | None = setting(
        None,
        "The function that does it, importable beside main.py on every machine with workers; "
        "needed for types of your own.",
    )
    pool: Identifier = setting(DEFAULT_POOL, "The pool of workers that does it.")
    stall_s: ShortDuration | None = setting(None, "Replaces workers.stall_s for jobs of this type.")
    max_attempts: Annotated[int, Integer(1, 1_000)] = setting(
        3, "Attempts charged to a job after which it is given up."
    )


@attrs.frozen
class WorkersConfig:
    """The worker processes, and when one is replaced."""

    max_python_workers: Annotated[int, Integer(1, 256)] = setting(
        2, "Most worker processes at any time."
    )
    pools: Mapping[Identifier, Annotated[int, Integer(1, 256)]] = mapping_setting(
        "Workers kept for one kind of job each, as `name: workers`; the sum is at most "
        "max_python_workers, and what is left over takes any job."
    )
    job_types: Mapping[Identifier, JobTypeConfig] = mapping_setting(
        "Types of job that differ from the defaults, and your own; keys below."
    )
    check_interval_s: ShortDuration = setting(1.0, "How often a worker reports.")
    check_deadline_s: ShortDuration = setting(
        5.0, "A worker that has not reported for this long is replaced."
    )
    stall_s: ShortDuration = setting(
        60.0, "A worker that reports, but whose job makes no progress for this long, is replaced."
    )
    cancel_grace_s: ShortDuration = setting(
        5.0, "A job that has not ended this long after it was told of its cancellation is killed."
    )
    retry_first_s: ShortDuration = setting(
        1.0, "Least delay before a job that failed is tried again; it doubles with each failure."
    )
    retry_longest_s: ShortDuration = setting(300.0, "Most delay before a job is tried again.")
    result_ttl_s: Annotated[float, Duration(1, 365 * DAY_S)] = setting(
        float(DAY_S), "How long Redis keeps results; the data file keeps them on."
    )
    memory_soft_bytes: Annotated[int, Size(64 * MIB, 1024 * GIB)] | None = setting(
        GIB, "A worker with more memory than this is replaced at the end of its job."
    )
    memory_hard_bytes: Annotated[int, Size(64 * MIB, 1024 * GIB)] | None = setting(
        2 * GIB, "A worker that takes more memory than this, with its children, is killed."
    )
    recycle_after_jobs: Count | None = setting(
        None, "A worker that has done so many jobs is replaced."
    )
    restart_intensity: Annotated[int, Integer(1, 10_000)] = setting(
        10, "A slot whose workers die more often than this within restart_period_s is parked."
    )
    restart_period_s: ShortDuration = setting(60.0, "The time over which deaths are counted.")
    restart_longest_s: ShortDuration = setting(
        10.0, "Most delay between the deaths of a slot's workers and the next start."
    )
    park_s: ShortDuration = setting(30.0, "How long a parked slot rests before it is tried again.")

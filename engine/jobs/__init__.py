"""Jobs: accepted in the data file, queued and leased in Redis, finished in the data file."""

from engine import redis_import  # noqa: F401 - before anything that imports redis
from engine.jobs.history import JobFilter, PastAttempt
from engine.jobs.hooks import EndedJob, JobHooks, RetriedJob
from engine.jobs.jobs import BackTo, Jobs, open_jobs
from engine.jobs.reading import JobPage, PoolStats, QueueStats
from engine.jobs.settings import JobsSettings
from engine.jobs.spec import (
    MOST_PAYLOAD_BYTES,
    AttemptEnd,
    ClaimedJob,
    JobFailure,
    JobResult,
    JobSpec,
    Progress,
    ResultVerdict,
    RunningJob,
    Submission,
)
from engine.jobs.states import Cause, JobState
from engine.jobs.views import JobView
from engine.jobs.watching import JobWatch

__all__ = [
    "MOST_PAYLOAD_BYTES",
    "AttemptEnd",
    "BackTo",
    "Cause",
    "ClaimedJob",
    "EndedJob",
    "JobFailure",
    "JobFilter",
    "JobHooks",
    "JobPage",
    "JobResult",
    "JobSpec",
    "JobState",
    "JobView",
    "JobWatch",
    "Jobs",
    "JobsSettings",
    "PastAttempt",
    "PoolStats",
    "Progress",
    "QueueStats",
    "ResultVerdict",
    "RetriedJob",
    "RunningJob",
    "Submission",
    "open_jobs",
]

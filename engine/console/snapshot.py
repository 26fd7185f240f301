"""What one pulse of the Console says, as it goes over the wire. Times in microseconds, UTC."""

import enum

import msgspec


class Health(enum.StrEnum):
    """How a part of the tree is doing. Stable: the page draws each by a shape of its own."""

    OK = "ok"
    BUSY = "busy"
    STARTING = "starting"
    WARN = "warn"
    """It does without something, or is being replaced."""
    FAILED = "failed"
    OFF = "off"
    """Taken out of work on purpose."""


class Node(msgspec.Struct, frozen=True):
    """A part of the engine, and the parts within it."""

    name: str
    title: str
    state: Health
    detail: str
    children: tuple["Node", ...] = ()


class Outage(msgspec.Struct, frozen=True):
    """When a part did not work, and what it said of that first."""

    part: str
    detail: str
    since_us: int
    until_us: int | None
    """None: it lasts."""


class RunningJob(msgspec.Struct, frozen=True):
    """What a worker has in hand."""

    job_id: str
    job_type: str
    attempt: int
    max_attempts: int
    started_at_us: int
    progress: int
    progress_total: int | None
    note: str
    cancel_requested: bool


class LastEnd(msgspec.Struct, frozen=True):
    """Why a slot's worker before this one ended."""

    cause: str
    detail: str
    has_stack: bool
    """Whether there is one to ask for: each pulse would carry it to every page."""
    job_id: str
    ended_at_us: int


class Worker(msgspec.Struct, frozen=True):
    """A slot and the worker in it."""

    slot: str
    pool: str
    """Empty: any."""
    host: str
    worker_id: str
    pid: int | None
    state: str
    lease_remaining_s: float
    memory_bytes: int | None
    restarts: int
    starts_in_s: float
    job: RunningJob | None
    last_end: LastEnd | None


class Pool(msgspec.Struct, frozen=True):
    """Jobs of a pool by where they stand."""

    pool: str
    ready: int
    delayed: int
    leased: int
    dead: int
    oldest_ready_age_s: float


class Point(msgspec.Struct, frozen=True):
    """The engine's numbers over one interval; None where nothing happened that could be measured.

    Durations in seconds.
    """

    events_per_s: float
    refused_per_s: float
    """Messages that became dead letters."""
    refused_artifacts: float
    """How often a part of a version was not what was registered."""
    lag_messages: float
    commit_p99_s: float | None
    get_features_p99_s: float | None
    freshness_p50_s: float | None
    freshness_p99_s: float | None
    calls_per_s: float
    jobs_per_s: float
    loop_lag_p99_s: float | None


class Pulse(msgspec.Struct, frozen=True):
    """The engine at one moment: all that every open Console needs each second."""

    at_us: int
    started_at_us: int
    pid: int
    version: str
    phase: str
    """`starting`, `running`, `stopping`."""
    ready: bool
    tree: Node
    outages: tuple[Outage, ...]
    """The latest since the start."""
    workers: tuple[Worker, ...]
    lease_s: float
    """What a lease is at most."""
    pools: tuple[Pool, ...] | None
    """None: the queue is away."""
    points: dict[str, list[float | None]]
    """Numbers by the names of `Point`, the oldest first, one every `interval_s`.

    In a full pulse all that are kept; in a brief one those since the pulse before.
    """
    most_points: int
    """How many are kept."""
    interval_s: float
    totals: dict[str, float]
    revisions: dict[str, int]
    """By lookup: changes when what it answers may have changed."""

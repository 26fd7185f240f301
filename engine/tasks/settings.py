"""What a worker is told by its host."""

from collections.abc import Mapping
from typing import Any

import attrs

from engine.tracing import TraceSettings
from engine.workers.host import EngineAddress, TlsTrust
from engine.workers.zygote_fork import WorkerStart


@attrs.frozen(kw_only=True)
class WorkerSettings:
    """Who this worker is, whom it works for, and how. Times in seconds."""

    worker_id: str
    slot: str
    pool: str
    folder: str
    engine: EngineAddress
    check_interval_s: float
    check_deadline_s: float
    engine_gone_after_s: float
    memory_soft_bytes: int | None
    recycle_after_jobs: int | None
    handlers: Mapping[str, str]
    log_level: str
    traces: TraceSettings | None = None


def settings_of(start: WorkerStart) -> WorkerSettings:
    """Return the settings in what the zygote has handed over."""
    spec, shared = start.spec, start.settings
    return WorkerSettings(
        worker_id=spec["worker_id"],
        slot=spec["slot"],
        pool=spec["pool"],
        folder=spec["folder"],
        engine=_address(shared["engine"]),
        check_interval_s=shared["check_interval_s"],
        check_deadline_s=shared["check_deadline_s"],
        engine_gone_after_s=shared["engine_gone_after_s"],
        memory_soft_bytes=shared["memory_soft_bytes"],
        recycle_after_jobs=shared["recycle_after_jobs"],
        handlers=shared["handlers"],
        log_level=shared["log_level"],
        traces=None if shared["traces"] is None else TraceSettings(**shared["traces"]),
    )


def _address(found: Mapping[str, Any]) -> EngineAddress:
    tls = found["tls"]
    return EngineAddress(
        host=found["host"],
        port=found["port"],
        token=found["token"],
        tls=None if tls is None else TlsTrust(**tls),
    )

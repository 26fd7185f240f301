"""What settings of workers and jobs must hold together; each alone has been checked by its kind."""

from collections.abc import Callable, Iterator
from typing import Final

from engine.config.findings import Finding
from engine.config.sections import AppSettings
from engine.config.units import format_size
from engine.config.worker_sections import BUILT_IN_JOB_TYPES, DEFAULT_POOL


def _workers_fit(settings: AppSettings) -> Iterator[Finding]:
    workers = settings.workers
    wanted = sum(workers.pools.values())
    if wanted > workers.max_python_workers:
        yield Finding(
            ("workers.pools", "workers.max_python_workers"),
            f"{wanted} workers in all",
            f"at most max_python_workers, which is {workers.max_python_workers}",
        )
    if workers.check_deadline_s <= workers.check_interval_s:
        yield Finding(
            ("workers.check_deadline_s", "workers.check_interval_s"),
            f"{workers.check_deadline_s:g} s",
            f"more than check_interval_s, which is {workers.check_interval_s:g} s",
        )


def _job_types_have_handlers(settings: AppSettings) -> Iterator[Finding]:
    for name, job_type in settings.workers.job_types.items():
        if name in BUILT_IN_JOB_TYPES and job_type.handler is not None:
            found = f"a handler for {name}, which Trellis brings along"
            yield Finding(("workers.job_types",), found, "none, or another name")
        if name not in BUILT_IN_JOB_TYPES and job_type.handler is None:
            found = f"{name} without a handler"
            yield Finding(("workers.job_types",), found, "handler: package.module:function")


def _pools_have_workers(settings: AppSettings) -> Iterator[Finding]:
    workers = settings.workers
    # With a token that other machines can have, they may serve the pools that are not here.
    has_remote = settings.security.control_token is not None
    if has_remote or sum(workers.pools.values()) != workers.max_python_workers:
        return
    wanted = dict.fromkeys(BUILT_IN_JOB_TYPES, DEFAULT_POOL)
    wanted |= {name: job_type.pool for name, job_type in workers.job_types.items()}
    for pool in dict.fromkeys(wanted.values()):
        if pool not in workers.pools:
            names = ", ".join(name for name, its_pool in wanted.items() if its_pool == pool)
            yield Finding(
                ("workers.pools", "workers.job_types", "workers.max_python_workers"),
                f"no worker for {names}, whose pool is {pool}",
                f"a pool {pool}, or more max_python_workers than the pools have together, since "
                "those left over take any job, or security.control_token, with which workers on "
                "other machines take jobs",
            )


def _limits_are_in_order(settings: AppSettings) -> Iterator[Finding]:
    workers = settings.workers
    if workers.retry_first_s > workers.retry_longest_s:
        yield Finding(
            ("workers.retry_first_s", "workers.retry_longest_s"),
            f"{workers.retry_first_s:g} s",
            f"at most retry_longest_s, which is {workers.retry_longest_s:g} s",
        )
    soft_bytes, hard_bytes = workers.memory_soft_bytes, workers.memory_hard_bytes
    if soft_bytes is not None and hard_bytes is not None and soft_bytes > hard_bytes:
        yield Finding(
            ("workers.memory_soft_bytes", "workers.memory_hard_bytes"),
            format_size(soft_bytes),
            f"null, or at most memory_hard_bytes, which is {format_size(hard_bytes)}",
        )


WORKER_RULES: Final[tuple[Callable[[AppSettings], Iterator[Finding]], ...]] = (
    _workers_fit,
    _job_types_have_handlers,
    _pools_have_workers,
    _limits_are_in_order,
)

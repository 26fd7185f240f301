"""Names that a command line may mean, for its completion: those of the running engine.

Whatever goes wrong, there are none: who completes is not told, who runs the command is.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs
import click
from click.shell_completion import CompletionItem

from engine.cli.client import open_service
from engine.cli.job_text import show_state
from engine.cli.options import CommonOptions
from engine.cli.running import find_engine
from engine.config import EngineConfig
from engine.rpc import Servicer
from proto.trellis.v1.dead_letters_grpc import IntakeServiceServicer
from proto.trellis.v1.dead_letters_pb2 import DeadLetterState, ListDeadLettersRequest
from proto.trellis.v1.jobs_grpc import JobServiceServicer
from proto.trellis.v1.jobs_pb2 import ListJobsRequest
from proto.trellis.v1.models_grpc import ModelServiceServicer
from proto.trellis.v1.models_pb2 import ListModelsRequest
from proto.trellis.v1.workers_grpc import WorkerServiceServicer
from proto.trellis.v1.workers_pb2 import ListWorkersRequest

_TIMEOUT_S: Final = 1.0
"""People wait for it with a finger on the key."""
_MOST: Final = 100

_Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]
_Named = tuple[str, str]
"""A name, and what is to be said of it."""


@attrs.frozen
class _Asker:
    """Asks the engine of the data folder that the command line means."""

    config: EngineConfig

    def ask(self, port: str, servicer: type[Servicer], method: str, request: Any) -> Any:
        engine = find_engine(self.config.paths.data)
        security = self.config.security
        with open_service(engine, port, servicer, security, timeout_s=_TIMEOUT_S) as service:
            return getattr(service, method)(request)


def _names(find: Callable[[_Asker, click.Context], Iterable[_Named]]) -> _Complete:
    def complete(
        context: click.Context, _parameter: click.Parameter, begun: str
    ) -> list[CompletionItem[str]]:
        options = context.find_object(CommonOptions) or CommonOptions()
        found = dict(find(_Asker(options.load()), context))
        return [
            CompletionItem(name, help=about)
            for name, about in found.items()
            if name.startswith(begun)
        ]

    return complete


def _find_models(asker: _Asker, _context: click.Context) -> Iterable[_Named]:
    request = ListModelsRequest(page_size=_MOST)
    reply = asker.ask("service_b", ModelServiceServicer, "ListModels", request)
    return [(model.model, model.description) for model in reply.models]


def _find_features(asker: _Asker, _context: click.Context) -> Iterable[_Named]:
    # Of the engine nobody can ask for them; it reads the same file when it starts.
    find_engine(asker.config.paths.data)
    return [(name, "") for name in asker.config.features.features]


def _find_given_features(asker: _Asker, context: click.Context) -> Iterable[_Named]:
    return [(f"{name}=", about) for name, about in _find_features(asker, context)]


def _find_datasets(asker: _Asker, _context: click.Context) -> Iterable[_Named]:
    find_engine(asker.config.paths.data)
    return [(name, "") for name in asker.config.features.uploads]


def _find_workers(asker: _Asker) -> Any:
    return asker.ask(
        "service_d", WorkerServiceServicer, "ListWorkers", ListWorkersRequest()
    ).workers


def _find_slots(asker: _Asker, _context: click.Context) -> Iterable[_Named]:
    return [(worker.slot, worker.state) for worker in _find_workers(asker)]


def _find_hosts(asker: _Asker, _context: click.Context) -> Iterable[_Named]:
    return [(worker.host, "") for worker in _find_workers(asker)]


def _find_pools(asker: _Asker, _context: click.Context) -> Iterable[_Named]:
    return [(worker.pool, "") for worker in _find_workers(asker) if worker.pool]


def _find_jobs(asker: _Asker) -> Iterable[_Named]:
    request = ListJobsRequest(page_size=_MOST)
    reply = asker.ask("service_d", JobServiceServicer, "ListJobs", request)
    return [(job.job_id, f"{job.job_type}, {show_state(job)}") for job in reply.jobs]


def _find_job_types(asker: _Asker, _context: click.Context) -> Iterable[_Named]:
    find_engine(asker.config.paths.data)
    return [(name, "") for name in asker.config.workers.job_types]


def _find_jobs_or_types(asker: _Asker, context: click.Context) -> Iterable[_Named]:
    match context.params.get("action"):
        case "list":
            return []
        case "submit":
            return _find_job_types(asker, context)
        case _:
            return _find_jobs(asker)


def _find_dead_letters(asker: _Asker) -> Any:
    request = ListDeadLettersRequest(
        page_size=_MOST, state=DeadLetterState.DEAD_LETTER_STATE_PENDING, max_payload_bytes=1
    )
    reply = asker.ask("service_a", IntakeServiceServicer, "ListDeadLetters", request)
    return reply.dead_letters


def _find_dead_letter_ids(asker: _Asker, _context: click.Context) -> Iterable[_Named]:
    return [(letter.dead_letter_id, letter.reason) for letter in _find_dead_letters(asker)]


def _find_reasons(asker: _Asker, _context: click.Context) -> Iterable[_Named]:
    return [(letter.reason, "") for letter in _find_dead_letters(asker)]


complete_models: Final = _names(_find_models)
complete_features: Final = _names(_find_features)
complete_given_features: Final = _names(_find_given_features)
complete_datasets: Final = _names(_find_datasets)
complete_slots: Final = _names(_find_slots)
complete_hosts: Final = _names(_find_hosts)
complete_pools: Final = _names(_find_pools)
complete_jobs_or_types: Final = _names(_find_jobs_or_types)
complete_job_types: Final = _names(_find_job_types)
complete_dead_letters: Final = _names(_find_dead_letter_ids)
complete_reasons: Final = _names(_find_reasons)

"""`models`: the models, their versions, which one answers, and how good it is."""

from typing import Any, Final

import click

from engine.cli.client import open_service
from engine.cli.entity_keys import VERSION
from engine.cli.examples import examples
from engine.cli.json_output import print_json
from engine.cli.known_names import complete_models
from engine.cli.models_text import (
    aliases_of,
    describe_metrics,
    describe_model,
    print_model,
    print_models,
    print_quality,
)
from engine.cli.options import CommonOptions, common_options
from engine.cli.running import find_engine
from engine.errors import FailedPreconditionError
from proto.trellis.v1.models_grpc import ModelServiceServicer
from proto.trellis.v1.models_pb2 import (
    GetModelRequest,
    GetQualityRequest,
    GetQualityResponse,
    ListModelsRequest,
    ListModelsResponse,
    Model,
    SetAliasRequest,
    SetAliasResponse,
)

PORT: Final = "service_b"
_CHAMPION: Final = "champion"
_CHALLENGER: Final = "challenger"
_LIST: Final = "list"
_PAGE_SIZE: Final = 500


@click.command(
    "models",
    epilog=examples(
        "models",
        "models show buys_soon",
        "models promote buys_soon --version 3",
        "models rollback buys_soon",
        "models quality buys_soon --json",
    ),
)
@common_options
@click.argument(
    "action",
    type=click.Choice([_LIST, "show", "promote", "rollback", "quality"]),
    default=_LIST,
)
@click.argument("model", metavar="[MODEL]", required=False, shell_complete=complete_models)
@click.option(
    "--version",
    type=VERSION,
    metavar="N",
    help="The version; default: the champion, for promote the challenger, for rollback the "
    "champion before.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def models(
    options: CommonOptions,
    /,
    *,
    action: str,
    model: str | None,
    version: int | None,
    as_json: bool,
) -> None:
    """List the models, show one, have another version answer, or see what predictions were worth.

    promote and rollback are refused when somebody else has moved the champion meanwhile: look at
    it again then.
    """
    if action == _LIST and (model is not None or version is not None):
        hint = "" if model is None else f"; did you mean: models show {model}"
        raise click.UsageError(f"list takes no MODEL and no --version{hint}")
    if action != _LIST and model is None:
        raise click.UsageError(f"{action} wants the name of a MODEL, as `models` lists them")
    config = options.load()
    with open_service(
        find_engine(config.paths.data), PORT, ModelServiceServicer, config.security
    ) as service:
        match action:
            case "list":
                _show_list(_list_pages(service), as_json)
            case "show":
                _show(get_model(service, str(model), version), as_json)
            case "quality":
                request = GetQualityRequest(model=model, version=version)
                _show_quality(service.GetQuality(request), as_json)
            case _:
                _move(service, action, str(model), version, as_json)


def get_model(service: Any, model: str, version: int | None = None) -> Model:
    """Return a version of a model, by default the champion.

    Args:
      service: the engine's ModelService, as `open_service` yields it.
    """
    found: Model = service.GetModel(GetModelRequest(model=model, version=version)).model
    return found


def _move(service: Any, action: str, name: str, version: int | None, as_json: bool) -> None:
    model = get_model(service, name)
    champion = aliases_of(model).get(_CHAMPION, 0)
    if version is None:
        choose = _find_challenger if action == "promote" else _find_champion_before
        version = choose(model)
    moved: SetAliasResponse = service.SetAlias(
        SetAliasRequest(model=name, alias=_CHAMPION, version=version, expected_version=champion)
    )
    if as_json:
        facts = {
            "model": name,
            "champion": version,
            "previous_version": moved.previous_version or None,
        }
        print_json(facts)
    elif moved.previous_version == version:
        click.echo(f"{name}: version {version} is the champion already")
    else:
        before = f", in place of version {champion}" if champion else ""
        click.echo(f"{name}: version {version} is the champion now{before}")


def _find_challenger(model: Model) -> int:
    found = aliases_of(model).get(_CHALLENGER)
    if found is None:
        raise FailedPreconditionError(
            f"{model.model!r} has no challenger to promote; name a trained version with --version"
        )
    return found


def _find_champion_before(model: Model) -> int:
    champion = aliases_of(model).get(_CHAMPION)
    if champion is None:
        raise FailedPreconditionError(f"{model.model!r} has no champion to roll back")
    if not model.champion_before:
        raise FailedPreconditionError(
            f"version {champion} of {model.model!r} took over from no older one; name the version "
            "to go back to with --version"
        )
    return model.champion_before


def _list_pages(service: Any) -> list[Model]:
    found: list[Model] = []
    token = ""
    while True:
        response: ListModelsResponse = service.ListModels(
            ListModelsRequest(page_size=_PAGE_SIZE, page_token=token)
        )
        found += response.models
        token = response.next_page_token
        if not token:
            return found


def _show_list(found: list[Model], as_json: bool) -> None:
    if as_json:
        print_json([describe_model(model) for model in found])
    else:
        print_models(found)


def _show(model: Model, as_json: bool) -> None:
    if as_json:
        print_json(describe_model(model))
    else:
        print_model(model)


def _show_quality(quality: GetQualityResponse, as_json: bool) -> None:
    if as_json:
        facts = {
            "model": quality.model,
            "model_version": quality.model_version,
            "predictions": quality.predictions,
            "outcomes": quality.outcomes,
            "metrics": describe_metrics(quality.metrics),
            "trained_metrics": describe_metrics(quality.trained_metrics),
        }
        print_json(facts)
        return
    click.echo(
        f"model {quality.model} version {quality.model_version}: {quality.predictions:,} "
        f"predictions kept, the outcome of {quality.outcomes:,} is known\n"
    )
    print_quality(quality.metrics, quality.trained_metrics)

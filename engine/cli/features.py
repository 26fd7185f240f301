"""`features`: one entity's feature values, from the running engine."""

import json
from collections.abc import Sequence
from typing import Any, Final

import click

from engine.cli.client import open_service
from engine.cli.entity_keys import ENTITY_KEY, VERSION, KeyCommand
from engine.cli.examples import examples
from engine.cli.json_output import print_json
from engine.cli.known_names import complete_features, complete_models
from engine.cli.options import CommonOptions, common_options
from engine.cli.running import find_engine
from engine.cli.tables import print_table
from engine.cli.times import show_time, to_timestamp
from proto.trellis.v1.features_grpc import FeatureServiceServicer
from proto.trellis.v1.features_pb2 import (
    FeatureStatus,
    FeatureValue,
    GetFeaturesRequest,
    GetFeaturesResponse,
)

_STATUS_PREFIX: Final = "FEATURE_STATUS_"


@click.command(
    "features",
    cls=KeyCommand,
    epilog=examples(
        "features 7",
        "features 7 --model buys_soon",
        "features 7 --feature views_1m --feature plan --as-of 2026-01-31T08:30:00+02:00",
    ),
)
@common_options
@click.argument("entity_key", type=ENTITY_KEY)
@click.option(
    "--model", metavar="NAME", shell_complete=complete_models, help="The features of a model."
)
@click.option("--version", type=VERSION, metavar="N", help="Version of the model.")
@click.option(
    "--feature",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_features,
    help="A feature; repeatable.",
)
@click.option(
    "--as-of", metavar="TIME", help="ISO 8601 time to look at; UTC without an offset; default: now."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def features(
    options: CommonOptions,
    /,
    *,
    entity_key: int,
    model: str | None,
    version: int | None,
    names: Sequence[str],
    as_of: str | None,
    as_json: bool,
) -> None:
    """Show features of the entity ENTITY_KEY, such as a user_id; all of them by default."""
    if model and names:
        raise click.UsageError("give --model or --feature, not both")
    if version is not None and not model:
        raise click.UsageError("--version goes with --model")
    moment = None if as_of is None else to_timestamp(as_of, "--as-of")
    config = options.load()
    if not model and not names:
        names = tuple(config.features.features)
    request = GetFeaturesRequest(
        entity_key=entity_key, model=model or "", version=version, features=names, as_of=moment
    )

    with open_service(
        find_engine(config.paths.data), "service_b", FeatureServiceServicer, config.security
    ) as service:
        response: GetFeaturesResponse = service.GetFeatures(request)
    if as_json:
        print_json(_describe(response))
        return
    origin = f"model {response.model} version {response.model_version}, " if response.model else ""
    click.echo(
        f"entity {response.entity_key}, {origin}as of {show_time(response.as_of)}, "
        f"commit {response.commit_seq}\n"
    )
    print_table(
        ("feature", "value", "status", "event time"),
        [
            (f.name, json.dumps(read_value(f)), show_status(f), show_event_time(f))
            for f in response.features
        ],
    )


def read_value(feature: FeatureValue) -> int | float | str | bool | None:
    """Return a feature's value in its own type, or None when it is missing."""
    kind = feature.WhichOneof("value")
    value: int | float | str | bool | None = getattr(feature, kind) if kind else None
    return value


def show_status(feature: FeatureValue) -> str:
    """Return what a value is worth, in one word."""
    return FeatureStatus.Name(feature.status).removeprefix(_STATUS_PREFIX).lower()


def show_event_time(feature: FeatureValue) -> str | None:
    """Return when what a value rests on happened, None if it rests on nothing."""
    return show_time(feature.event_time) if feature.HasField("event_time") else None


def _describe(response: GetFeaturesResponse) -> dict[str, Any]:
    return {
        "entity_key": response.entity_key,
        "model": response.model or None,
        "model_version": response.model_version or None,
        "as_of": show_time(response.as_of),
        "commit_seq": response.commit_seq,
        "features": [
            {
                "name": feature.name,
                "value": read_value(feature),
                "status": show_status(feature),
                "event_time": show_event_time(feature),
            }
            for feature in response.features
        ],
    }

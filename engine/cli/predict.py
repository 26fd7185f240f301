"""`predict`: what a trained model says of one entity, from the running engine."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from engine.cli.client import open_service
from engine.cli.entity_keys import ENTITY_KEY, VERSION, KeyCommand
from engine.cli.examples import examples
from engine.cli.features import read_value, show_event_time, show_status
from engine.cli.json_output import print_json
from engine.cli.known_names import complete_given_features, complete_models
from engine.cli.options import CommonOptions, common_options
from engine.cli.running import find_engine
from engine.cli.tables import print_table
from engine.cli.times import show_time
from engine.config import EngineConfig
from engine.errors import InvalidArgumentError
from engine.features import compile_feature_set
from proto.trellis.v1.features_grpc import FeatureServiceServicer
from proto.trellis.v1.features_pb2 import FeatureOverride, PredictRequest, PredictResponse

_OPTION = "--set-feature"
_MISSING = "null"


@click.command(
    "predict",
    cls=KeyCommand,
    epilog=examples(
        "predict 7 --model buys_soon",
        "predict 7 --model buys_soon --version 2 --json",
        "predict 7 --model buys_soon --set-feature carts_1m=3 --set-feature plan=null",
    ),
)
@common_options
@click.argument("entity_key", type=ENTITY_KEY)
@click.option(
    "--model",
    required=True,
    metavar="NAME",
    shell_complete=complete_models,
    help="The model; it has to be trained.",
)
@click.option(
    "--version", type=VERSION, metavar="N", help="Version of the model; default: the champion."
)
@click.option(
    _OPTION,
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    shell_complete=complete_given_features,
    help="Use this value instead of the stored feature, null for a missing one; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def predict(
    options: CommonOptions,
    /,
    *,
    entity_key: int,
    model: str,
    version: int | None,
    given: Sequence[str],
    as_json: bool,
) -> None:
    """Predict for the entity ENTITY_KEY, such as a user_id, and show what the answer rests on.

    The prediction is kept; `explain` with its id rebuilds it from history.
    """
    config = options.load()
    types = _types_of_features(config) if given else {}
    request = PredictRequest(
        model=model,
        version=version,
        entity_key=entity_key,
        overrides=list(_read_overrides(given, types)),
    )
    with open_service(
        find_engine(config.paths.data), "service_b", FeatureServiceServicer, config.security
    ) as service:
        response: PredictResponse = service.Predict(request)
    if as_json:
        print_json(_describe(response))
    else:
        _show(response)


def _types_of_features(config: EngineConfig) -> dict[str, str]:
    defined = compile_feature_set(config.features).features
    return {name: feature.type for name, feature in defined.items()}


def _read_overrides(given: Sequence[str], types: Mapping[str, str]) -> Iterator[FeatureOverride]:
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidArgumentError(_OPTION, f"{text!r} is no NAME=VALUE such as carts_1m=3")
        yield read_override(name, value, types.get(name, "string"))


def read_override(name: str, text: str, type_: str) -> FeatureOverride:
    """Return the value that a text means for a feature of a type; `null` is a missing one.

    Raises:
      InvalidArgumentError: it is no value of the type.
    """
    if text == _MISSING:
        return FeatureOverride(name=name)
    try:
        match type_:
            case "int64":
                return FeatureOverride(name=name, int64_value=int(text))
            case "double":
                return FeatureOverride(name=name, double_value=float(text))
            case "bool":
                return FeatureOverride(name=name, bool_value={"true": True, "false": False}[text])
            case _:
                return FeatureOverride(name=name, string_value=text)
    except (ValueError, KeyError):
        raise InvalidArgumentError(
            _OPTION, f"{name} is of type {type_}, and {text!r} is none; null says it is missing"
        ) from None


def _show(response: PredictResponse) -> None:
    made = response.prediction
    click.echo(
        f"entity {made.entity_key}, model {response.model} version {response.model_version}, "
        f"as of {show_time(response.as_of)}, commit {made.commit_seq}"
    )
    click.echo(f"prediction {made.prediction_id}\n")
    answers = [(one.label, f"{one.probability:.4f}") for one in made.probabilities]
    if answers:
        marked = [(label, odds, "<" if label == made.label else "") for label, odds in answers]
        print_table(("class", "probability", ""), marked)
    else:
        print_table(("predicted",), [(f"{made.score:g}",)])
    click.echo()
    overridden = set(made.overridden)
    print_table(
        ("feature", "value", "status", "event time"),
        [
            (
                one.name,
                json.dumps(read_value(one)),
                "overridden" if one.name in overridden else show_status(one),
                show_event_time(one),
            )
            for one in made.features
        ],
    )


def _describe(response: PredictResponse) -> dict[str, Any]:
    made = response.prediction
    return {
        "prediction_id": made.prediction_id,
        "entity_key": made.entity_key,
        "model": response.model,
        "model_version": response.model_version,
        "as_of": show_time(response.as_of),
        "commit_seq": made.commit_seq,
        "label": made.label or None,
        "score": made.score,
        "probabilities": {one.label: one.probability for one in made.probabilities},
        "features": [
            {
                "name": one.name,
                "value": read_value(one),
                "status": show_status(one),
                "event_time": show_event_time(one),
                "overridden": one.name in made.overridden,
            }
            for one in made.features
        ],
    }

"""`explain`: what a prediction was made of, rebuilt from history beside what was given."""

import json
import sys
from typing import Any, Final

import click

from engine.cli.client import open_service
from engine.cli.examples import examples
from engine.cli.features import read_value, show_event_time
from engine.cli.json_output import print_json
from engine.cli.options import CommonOptions, common_options
from engine.cli.running import find_engine
from engine.cli.tables import print_table
from engine.cli.times import show_time
from proto.trellis.v1.features_grpc import FeatureServiceServicer
from proto.trellis.v1.features_pb2 import (
    ExplainedFeature,
    ExplainPredictionRequest,
    ExplainPredictionResponse,
)

_EVENTS: Final = 20


@click.command(
    "explain",
    epilog=examples(
        "explain 01M849Q9VF5TMT7EZ2B1J9QYGY", "explain 01M849Q9VF5TMT7EZ2B1J9QYGY --events 100"
    ),
)
@common_options
@click.argument("prediction_id", metavar="PREDICTION_ID")
@click.option(
    "--events",
    type=click.IntRange(0, 1_000),
    default=_EVENTS,
    show_default=True,
    metavar="N",
    help="Show at most N of the events behind it, the latest first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all the events.")
@click.pass_obj
def explain(options: CommonOptions, /, *, prediction_id: str, events: int, as_json: bool) -> None:
    """Rebuild a prediction's features from history and show them beside what the model was given.

    PREDICTION_ID is what `predict` and the API return. Exit code 0 means that every value is the
    same to the last bit; 1 that one is not. Values that the caller had set are not compared.
    """
    config = options.load()
    with open_service(
        find_engine(config.paths.data), "service_b", FeatureServiceServicer, config.security
    ) as service:
        found: ExplainPredictionResponse = service.ExplainPrediction(
            ExplainPredictionRequest(prediction_id=prediction_id)
        )
    if as_json:
        print_json(_describe(found))
    else:
        _show(found, events)
    sys.exit(0 if found.reproduced else 1)


def _show(found: ExplainPredictionResponse, events: int) -> None:
    made = found.prediction
    answer = f"{made.label}, {made.score:.4f}" if made.label else f"{made.score:g}"
    click.echo(
        f"prediction {made.prediction_id}: {answer}\n"
        f"entity {made.entity_key}, model {found.model} version {found.model_version}, "
        f"made {show_time(found.predicted_at)}, commit {made.commit_seq}\n"
    )
    print_table(
        ("feature", "given", "rebuilt", "equal", "event time"),
        [
            (
                one.rebuilt.name,
                json.dumps(read_value(one.given)),
                json.dumps(read_value(one.rebuilt)),
                _equality(one),
                show_event_time(one.rebuilt),
            )
            for one in found.features
        ],
    )
    click.echo(
        "\nreproduced: every value is the same to the last bit"
        if found.reproduced
        else "\nNOT reproduced: history has other values than the model was given, or features.yaml"
        " defines them otherwise by now"
    )
    shown = found.events[:events]
    if not shown:
        return
    more = len(found.events) - len(shown)
    click.echo(f"\nevents behind it, the latest first{f', {more:,} more not shown' * (more > 0)}:")
    print_table(
        ("event time", "action", "value", "commit", "behind"),
        [
            (
                show_time(event.event_time),
                event.action,
                f"{event.value:g}" if event.HasField("value") else None,
                event.commit_seq,
                ", ".join(event.features),
            )
            for event in shown
        ],
    )


def _equality(one: ExplainedFeature) -> str:
    if one.overridden:
        return "overridden"
    return "yes" if one.equal else "NO"


def _describe(found: ExplainPredictionResponse) -> dict[str, Any]:
    made = found.prediction
    return {
        "prediction_id": made.prediction_id,
        "model": found.model,
        "model_version": found.model_version,
        "predicted_at": show_time(found.predicted_at),
        "entity_key": made.entity_key,
        "commit_seq": made.commit_seq,
        "label": made.label or None,
        "score": made.score,
        "probabilities": {one.label: one.probability for one in made.probabilities},
        "reproduced": found.reproduced,
        "features": [
            {
                "name": one.rebuilt.name,
                "given": read_value(one.given),
                "rebuilt": read_value(one.rebuilt),
                "overridden": one.overridden,
                "equal": one.equal,
                "event_time": show_event_time(one.rebuilt),
            }
            for one in found.features
        ],
        "events": [
            {
                "action": event.action,
                "event_time": show_time(event.event_time),
                "value": event.value if event.HasField("value") else None,
                "commit_seq": event.commit_seq,
                "features": [*event.features],
            }
            for event in found.events
        ],
    }

"""`explain`: what a prediction was made of, rebuilt from history beside what was given."""

import sys
from typing import Final

import click

from engine.cli.client import open_service
from engine.cli.examples import examples
from engine.cli.explanation_text import describe_explanation, print_explanation
from engine.cli.json_output import print_json
from engine.cli.options import CommonOptions, common_options
from engine.cli.running import find_engine
from proto.trellis.v1.features_grpc import FeatureServiceServicer
from proto.trellis.v1.features_pb2 import ExplainPredictionRequest, ExplainPredictionResponse

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
    same to the last bit; 1 that one is not, or cannot be rebuilt since events have been moved to
    archives. Values that the caller had set are not compared.
    """
    config = options.load()
    with open_service(
        find_engine(config.paths.data), "service_b", FeatureServiceServicer, config.security
    ) as service:
        found: ExplainPredictionResponse = service.ExplainPrediction(
            ExplainPredictionRequest(prediction_id=prediction_id)
        )
    if as_json:
        print_json(describe_explanation(found))
    else:
        print_explanation(found, events)
    sys.exit(0 if found.reproduced else 1)

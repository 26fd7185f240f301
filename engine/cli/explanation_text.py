"""An explained prediction as people and machines read it."""

import json
from typing import Any, Final

import click

from engine.cli.command_lines import write_command
from engine.cli.features import read_value, show_event_time
from engine.cli.tables import print_table
from engine.cli.times import show_time
from proto.trellis.v1.features_pb2 import (
    FEATURE_COMPARISON_DIFFERENT,
    FEATURE_COMPARISON_EQUAL,
    FEATURE_COMPARISON_EVENTS_MOVED,
    FEATURE_COMPARISON_OVERRIDDEN,
    FEATURE_COMPARISON_UNDEFINED,
    ExplainPredictionResponse,
    FeatureComparison,
)

_COMPARISON_PREFIX: Final = "FEATURE_COMPARISON_"
_EQUALITY: Final = {
    FEATURE_COMPARISON_EQUAL: "yes",
    FEATURE_COMPARISON_DIFFERENT: "NO",
    FEATURE_COMPARISON_OVERRIDDEN: "overridden",
    FEATURE_COMPARISON_EVENTS_MOVED: "events moved",
    FEATURE_COMPARISON_UNDEFINED: "not defined",
}


def print_explanation(found: ExplainPredictionResponse, events: int) -> None:
    """Print a table with a line a value, what that comes to, and at most so many events."""
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
                one.given.name,
                json.dumps(read_value(one.given)),
                json.dumps(read_value(one.rebuilt)) if one.HasField("rebuilt") else None,
                _EQUALITY.get(one.comparison, "not compared"),
                show_event_time(one.rebuilt),
            )
            for one in found.features
        ],
    )
    click.echo(f"\n{_judge(found)}")
    shown = found.events[:events]
    if not shown:
        return
    more = len(found.events) - len(shown)
    left = ", those not moved" if found.HasField("events_moved_before") else ""
    not_shown = f", {more:,} more not shown" if more else ""
    click.echo(f"\nevents behind it, the latest first{left}{not_shown}:")
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


def _judge(found: ExplainPredictionResponse) -> str:
    """Say what the comparison came to: a line, and one more for each reason not to compare."""
    names: dict[int, list[str]] = {}
    for one in found.features:
        names.setdefault(one.comparison, []).append(one.given.name)
    lines = []
    if FEATURE_COMPARISON_DIFFERENT in names:
        lines.append(
            "NOT reproduced: history has other values than the model was given, or features.yaml "
            "defines them otherwise by now"
        )
    elif found.reproduced:
        lines.append("reproduced: every value is the same to the last bit")
    else:
        same = len(names.get(FEATURE_COMPARISON_EQUAL, ()))
        lines.append(f"not all checked: {same} of {len(found.features)} values are the same")
    if FEATURE_COMPARISON_EVENTS_MOVED in names:
        events = write_command("history", "events", "--user", str(found.prediction.entity_key))
        lines.append(
            f"not rebuilt: {', '.join(names[FEATURE_COMPARISON_EVENTS_MOVED])}; events before "
            f"{show_time(found.events_moved_before)} have been moved to archives; to read them: "
            f"{events}"
        )
    if FEATURE_COMPARISON_UNDEFINED in names:
        lines.append(
            f"not rebuilt: {', '.join(names[FEATURE_COMPARISON_UNDEFINED])}; not defined any more "
            "in features.yaml"
        )
    return "\n".join(lines)


def describe_explanation(found: ExplainPredictionResponse) -> dict[str, Any]:
    """Return an explanation as it is printed for machines, with all events."""
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
        "events_moved_before": show_time(found.events_moved_before)
        if found.HasField("events_moved_before")
        else None,
        "features": [
            {
                "name": one.given.name,
                "given": read_value(one.given),
                "rebuilt": read_value(one.rebuilt),
                "overridden": one.overridden,
                "equal": one.equal,
                "comparison": FeatureComparison.Name(one.comparison)
                .removeprefix(_COMPARISON_PREFIX)
                .lower(),
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

"""What fed each feature last, and how long that took."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from engine.clock import to_datetime
from engine.config import EntitySpec, FeaturesFile, FeatureSpec, UploadSpec
from engine.console.feature_times import FeatureTimes, Fed
from engine.console.features import describe_feature, show_features
from engine.features import FeatureSet, compile_feature_set
from engine.records import (
    EVENTS_SCHEMA,
    FEATURE_HISTORY_SCHEMA,
    LATEST_ROWS_SCHEMA,
    Append,
    AppendStream,
    Commit,
    LatestRows,
    Operation,
    WriteRequest,
)

NOW_US = 1_800_000_000_000_000
S = 1_000_000
SPECS = (
    FeatureSpec("views", "events", {"action": ("view",)}, "count", window_s=3600),
    FeatureSpec("spend", "events", {"action": ("buy",)}, "sum", column="value", ttl_s=10),
    FeatureSpec("latest", "events", {}, "last", column="action"),
    FeatureSpec("plan", "uploads.profiles", column="plan", type="string"),
    FeatureSpec("ratio", expression="spend / views"),
)


def compiled() -> FeatureSet:
    return compile_feature_set(
        FeaturesFile(
            entities={"user": EntitySpec("user_id")},
            uploads={"profiles": UploadSpec("user", "user_id", "at", {"plan": "string"})},
            features={spec.name: spec for spec in SPECS},
        )
    )


class FileOfOld:
    """A data file with what was there before the start."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []

    async def fetch_rows(self, sql: str, parameters: Any, *, timeout_s: float) -> list[Any]:
        self.asked.append(parameters)
        if "feature_history" in sql:
            return [("profiles", NOW_US - 90 * S)]
        return [("view", False, NOW_US - 60 * S), ("", True, NOW_US - 50 * S)]


def times_of(file: Any = None) -> FeatureTimes:
    return FeatureTimes(compiled(), file, lambda: NOW_US)


def events(*rows: tuple[str, int, float | None]) -> Append:
    columns: dict[str, list[Any]] = {
        "user_id": [1] * len(rows),
        "action": [action for action, _, _ in rows],
        "event_time": [to_datetime(at_us).replace(tzinfo=None) for _, at_us, _ in rows],
        "ingest_time": [to_datetime(NOW_US).replace(tzinfo=None)] * len(rows),
        "value": [value for _, _, value in rows],
        "properties": [None] * len(rows),
        "topic": ["t"] * len(rows),
        "partition": [0] * len(rows),
        "offset": list(range(len(rows))),
    }
    return Append("events", pa.RecordBatch.from_pydict(columns, schema=EVENTS_SCHEMA))


def commit(*operations: Operation) -> Commit:
    return Commit(1, (WriteRequest(operations),))


def find(times: FeatureTimes, name: str) -> Fed | None:
    return times.find(compiled().features[name])


def test_a_feature_is_fed_by_the_events_that_it_looks_at_and_no_others() -> None:
    times = times_of()
    times.note_commit(
        commit(
            events(
                ("view", NOW_US - 5 * S, None),
                ("view", NOW_US - 9 * S, None),
                ("buy", NOW_US - 4 * S, 1.5),
                # A sum of numbers does not look at a purchase without one.
                ("buy", NOW_US - 3 * S, None),
                ("click", NOW_US - 2 * S, float("nan")),
            )
        )
    )
    assert find(times, "views") == Fed(NOW_US - 5 * S, 5.0)
    assert find(times, "spend") == Fed(NOW_US - 4 * S, 4.0)
    assert find(times, "latest") == Fed(NOW_US - 2 * S, 2.0)
    assert find(times, "ratio") == Fed(NOW_US - 4 * S, 4.0)
    assert find(times, "plan") is None


def test_late_events_do_not_make_a_feature_look_older() -> None:
    times = times_of()
    times.note_commit(commit(events(("view", NOW_US - S, None))))
    times.note_commit(commit(events(("view", NOW_US - 50 * S, None))))
    assert find(times, "views") == Fed(NOW_US - S, 1.0)


def test_small_uploads_and_big_ones_feed_their_features() -> None:
    times, row = times_of(), {"entity_key": [1], "dataset": ["profiles"], "fields": ["{}"]}
    at = {"event_time": [to_datetime(NOW_US - 8 * S).replace(tzinfo=None)]}
    small = pa.RecordBatch.from_pydict({**row, **at}, schema=FEATURE_HISTORY_SCHEMA)
    times.note_commit(commit(Append("feature_history", small)))
    assert find(times, "plan") == Fed(NOW_US - 8 * S, 8.0)
    latest = pa.RecordBatch.from_pydict(
        {"entity_key": [1, 2], "event_us": [NOW_US - 7 * S, NOW_US - 9 * S], "fields": ["{}"] * 2},
        schema=LATEST_ROWS_SCHEMA,
    )
    big = AppendStream(
        "feature_history",
        FEATURE_HISTORY_SCHEMA,
        source=None,  # type: ignore[arg-type]  # the writer's
        row_count=2,
        applies=LatestRows("profiles", latest),
    )
    times.note_commit(commit(big))
    assert find(times, "plan") == Fed(NOW_US - 7 * S, 7.0)


async def test_what_was_before_the_start_is_read_once_and_has_no_delay() -> None:
    file = FileOfOld()
    times = times_of(file)
    times.note_commit(commit(events(("view", NOW_US - S, None))))
    await times.read_history()
    await times.read_history()
    assert len(file.asked) == 2
    assert find(times, "views") == Fed(NOW_US - S, 1.0)
    assert find(times, "latest") == Fed(NOW_US - S, 1.0)
    assert find(times, "plan") == Fed(NOW_US - 90 * S, None)
    assert find(times, "spend") is None


def test_a_feature_past_its_ttl_is_stale_and_so_is_a_formula_of_it() -> None:
    times, features = times_of(), compiled().features
    times.note_commit(commit(events(("buy", NOW_US - 9 * S, 1.0), ("view", NOW_US, None))))
    assert not times.is_stale(features["spend"])
    late = times_of()
    late.note_commit(commit(events(("buy", NOW_US - 11 * S, 1.0), ("view", NOW_US, None))))
    stale = {name for name, feature in features.items() if late.is_stale(feature)}
    assert stale == {"spend", "ratio"}


def test_every_feature_is_shown_with_what_it_is() -> None:
    shown = show_features(compiled().features, times_of(), ())
    assert [one.name for one in shown.features] == sorted(spec.name for spec in SPECS)
    told = {name: describe_feature(feature) for name, feature in compiled().features.items()}
    assert told == {
        "views": "count of view over 1 h",
        "spend": "sum value of buy",
        "latest": "last action of all events",
        "plan": "column plan of upload profiles",
        "ratio": "formula of spend, views",
    }

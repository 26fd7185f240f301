"""Rows with labels and trainings of them, for tests of what workers make of both."""

import hashlib
import io
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs
import numpy as np
import pyarrow as pa

from engine.tasks.model_data import ArtifactError, Part, StoredPart

FEATURES = ("recency", "spend", "visits", "member", "plan")
TYPES = {
    "recency": "double",
    "spend": "double",
    "visits": "int64",
    "member": "bool",
    "plan": "string",
}
DAY_US = 86_400_000_000


def make_rows(label: str = "bool", rows: int = 2_000, seed: int = 0) -> pa.Table:
    """Return rows as the engine streams them: ordered by time, values missing at times.

    Args:
      label: bool, string (three classes) or double; it depends on every feature.
    """
    random = np.random.default_rng(seed)
    recency = random.exponential(10, rows)
    spend = random.gamma(2, 20, rows)
    visits = random.poisson(3, rows)
    member = random.random(rows) < 0.4
    plan = random.choice(np.array(["basic", "pro", "team"], dtype=object), rows)
    level = -recency / 10 + spend / 40 + visits / 4 + member + (plan == "pro") - 1.2
    noisy = level + random.normal(size=rows)
    labels = {
        "bool": lambda: pa.array(noisy > 0),
        "string": lambda: pa.array(
            [("few", "more", "many")[place] for place in np.digitize(noisy, [-0.7, 0.7])]
        ),
        "double": lambda: pa.array(np.exp(noisy / 2)),
    }
    times_us = np.sort(random.integers(0, 100 * DAY_US, rows))
    return pa.table(
        {
            "entity_key": random.choice(random.integers(-(2**62), 2**62, rows // 3), rows),
            "event_time": pa.array(times_us).cast(pa.timestamp("us")),
            "label": labels[label](),
            "recency": pa.array(recency, mask=random.random(rows) < 0.1),
            "spend": pa.array(spend),
            "visits": pa.array(visits, mask=random.random(rows) < 0.1),
            "member": pa.array(member),
            "plan": pa.array(plan, pa.string(), mask=random.random(rows) < 0.1),
        }
    )


def make_payload(
    class_name: str = "LogisticRegression", task: str = "classification", **changes: Any
) -> dict[str, Any]:
    """Return a training's payload, as `engine.learning.payloads` writes it, with changes."""
    parameters = changes.pop("parameters", {})
    split = {"by": "time", "test_share": 0.25, "seed": 7, "least_rows": 100}
    return {
        "model": "buyer",
        "entity": "user",
        "features": list(FEATURES),
        "label": {
            "from": "events",
            "where": {},
            "aggregate": "exists",
            "column": None,
            "within_s": 86_400,
        },
        "estimator": {"class": class_name, "module": "sklearn", "parameters": parameters},
        "task": task,
        "observations": {},
        "split": split | changes.pop("split", {}),
        "metric": "roc_auc" if task == "classification" else "rmse",
        "cause": "call",
        "drift_report_id": None,
        "commit_seq": 12,
        "as_of_us": 100 * DAY_US,
        "champion_version": None,
        "champion_features": [],
        **changes,
    }


def stream(rows: pa.Table) -> bytes:
    """Return a table as an Arrow stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=1_000)
    return sink.getvalue()


@attrs.define
class PlayedJob:
    """What a training asks of its context, from memory; `parts` are those of the champion."""

    rows: pa.Table
    payload: Mapping[str, Any] = attrs.field(factory=make_payload)
    parts: Mapping[tuple[str, int], bytes | ArtifactError] = attrs.field(factory=dict)
    stored: dict[str, bytes] = attrs.field(factory=dict)
    notes: list[str] = attrs.field(factory=list)
    counts: dict[str, float] = attrs.field(factory=dict)
    steps: int = 0
    end_at: int | None = None
    """The step at which to raise `end_by`."""
    end_by: type[BaseException] = KeyboardInterrupt
    logger: logging.Logger = attrs.field(factory=lambda: logging.getLogger("job.train"))

    def advance(
        self, amount: int = 1, *, total: int | None = None, note: str | None = None
    ) -> None:
        self.steps += amount
        if note is not None:
            self.notes.append(note)
        if self.end_at is not None and self.steps >= self.end_at:
            raise self.end_by

    def count(self, name: str, amount: float = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + amount

    def read_rows(self) -> Iterator[bytes]:
        content = stream(self.rows)
        for begin in range(0, len(content), 10_000):
            yield content[begin : begin + 10_000]

    def read_part(self, model: str, version: int, part: Part = "pipeline") -> bytes:
        found = self.parts[model, version]
        if isinstance(found, ArtifactError):
            raise found
        return found

    def store_part(self, part: Part, content: Iterable[bytes]) -> StoredPart:
        whole = self.stored[part] = b"".join(content)
        sha256 = hashlib.sha256(whole).hexdigest()
        return StoredPart(f"models/{sha256}", sha256, len(whole))

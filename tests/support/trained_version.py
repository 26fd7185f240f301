"""Trained versions without a training: fitted on made-up rows, stored and registered as real ones.

For tests and benchmarks of what comes after a training.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType

import attrs
import numpy as np
import pandas as pd
import trio
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline

from engine.backends.blobs.files import open_blob_files
from engine.backends.blobs.local_folder import FolderDriver
from engine.backends.blobs.store import BlobStore
from engine.config import EngineConfig, load_config
from engine.features import compile_feature_set
from engine.models import (
    BlobRef,
    Measured,
    ModelRegistry,
    ModelVersion,
    Promotion,
    Role,
    TrainedArtifact,
)
from engine.models.definitions import DEFINITIONS
from engine.records import WriteRequest
from engine.store import StoreSettings, open_store
from engine.tasks.artifacts import Signature, dump_pipeline
from engine.tasks.artifacts.soundness import COLUMNS, ESTIMATOR
from engine.tasks.training.pipelines import build_columns, classes_of, find_usable

CHAMPION = Promotion(Role.CHAMPION, "made for a test")
CHALLENGER = Promotion(Role.CHALLENGER, "made for a test")
_ROWS = 400
_WORDS = ("view", "click", "cart", "purchase")


@attrs.frozen
class Learned:
    """What a version is to be: its features by type, and what it answers."""

    model: str
    types: MappingProxyType[str, str]
    seed: int = 1
    labels: Sequence[bool | str] | None = (False, True)
    """None: a regression."""


def fit_artifact(learned: Learned) -> bytes:
    """Return the artifact of a model fitted on rows drawn at random, some values missing."""
    random = np.random.default_rng(learned.seed)
    frame = pd.DataFrame({name: _draw(random, type_) for name, type_ in learned.types.items()})
    columns = build_columns(find_usable(frame, learned.types), "LogisticRegression")
    values = columns.fit_transform(frame)
    estimator: LinearRegression | LogisticRegression
    if learned.labels is None:
        estimator = LinearRegression()
        estimator.fit(values, random.normal(size=_ROWS))
    else:
        estimator = LogisticRegression()
        estimator.fit(values, random.choice(np.array(learned.labels), _ROWS))
    signature = Signature(
        model=learned.model,
        features=tuple(learned.types),
        types=dict(learned.types),
        task="regression" if learned.labels is None else "classification",
        classes=classes_of(estimator),
    )
    return dump_pipeline(Pipeline([(COLUMNS, columns), (ESTIMATOR, estimator)]), signature)


def ref_of(content: bytes) -> BlobRef:
    """Return where content is stored."""
    digest = hashlib.sha256(content).hexdigest()
    return BlobRef(f"models/{digest}", digest, len(content))


def trained_of(
    pipeline: BlobRef, *, job_id: str = "J", task: str = "classification"
) -> TrainedArtifact:
    """Return what a training would have said of an artifact."""
    return TrainedArtifact(
        job_id=job_id,
        cause="call",
        drift_report_id=None,
        estimator="LogisticRegression",
        task=task,
        pipeline=pipeline,
        reference=pipeline,
        trained_from_us=1_000_000,
        trained_until_us=2_000_000,
        training_commit_seq=1,
        rows_fitted=_ROWS,
        rows_tested=_ROWS,
        metrics=(Measured("roc_auc", 0.75, 0.7, 0.8),),
        champion_metrics=None,
        importance=(),
        lineage_json="{}",
    )


def open_folder(folder: Path) -> BlobStore:
    """Return the blob store of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return BlobStore(FolderDriver(open_blob_files(folder), 10.0))


def add_versions(
    data_dir: Path,
    config_dir: Path,
    model: str,
    promotions: Sequence[Promotion] = (CHAMPION,),
    *,
    change: Callable[[bytes], bytes] = lambda content: content,
    forge: Callable[[bytes], bytes] = lambda content: content,
) -> list[ModelVersion]:
    """Give a declared model trained versions, in the data folder of an engine that is not running.

    Args:
      change: what is done to the content that is stored, but not to what is registered.
      forge: what is done to it before it is registered.
    """
    config = load_config(config_dir, data_dir, [], {})
    return trio.run(_add_versions, config, model, promotions, change, forge)


async def _add_versions(
    config: EngineConfig,
    model: str,
    promotions: Sequence[Promotion],
    change: Callable[[bytes], bytes],
    forge: Callable[[bytes], bytes],
) -> list[ModelVersion]:
    feature_set = compile_feature_set(config.features)
    defined = feature_set.features
    spec = config.models.models[model]
    types = MappingProxyType({name: defined[name].type for name in spec.features})
    fingerprints = {name: feature_set.fingerprints[name] for name in spec.features}
    lineage_json = json.dumps({DEFINITIONS: fingerprints})
    blobs = open_folder(config.paths.blobs)
    versions = []
    config.paths.data.mkdir(parents=True, exist_ok=True)
    async with open_store(StoreSettings(config.paths.data / "trellis.duckdb")) as store:
        entity_of = {name: feature.entity for name, feature in defined.items()}
        registry = ModelRegistry(store.writer, store.reader, entity_of)
        await registry.load()
        await registry.sync_declared(config.models.models)
        for seed, promotion in enumerate(promotions, 1):
            content = forge(fit_artifact(Learned(model, types, seed)))
            ref = ref_of(content)
            await blobs.put(ref.name, change(content))
            trained = attrs.evolve(trained_of(ref), lineage_json=lineage_json)
            planned = registry.plan_training(model, tuple(spec.features), trained, promotion)
            await store.writer.submit(WriteRequest(planned.operations))
            versions.append(planned.version)
    return versions


def _draw(random: np.random.Generator, type_: str) -> object:
    missing = random.random(_ROWS) < 0.1
    if type_ == "string":
        return np.where(missing, None, random.choice(_WORDS, _ROWS))
    values = random.random(_ROWS) < 0.5 if type_ == "bool" else random.gamma(2.0, 20.0, _ROWS)
    return np.where(missing, np.nan, np.round(values))

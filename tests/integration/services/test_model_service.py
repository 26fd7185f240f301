"""ModelService over a real data file, for versions that were trained."""

import attrs
import pytest

from engine.config import FeaturesFile
from engine.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from engine.learning.alias_moves import AliasMoves
from engine.learning.live_quality import LiveQuality
from engine.models import (
    BlobRef,
    Importance,
    Measured,
    ModelRegistry,
    Promotion,
    Role,
    TrainedArtifact,
)
from engine.records import WriteRequest
from engine.services import ModelService
from engine.store import StoreSettings, open_store
from proto.trellis.v1 import models_pb2 as pb
from tests.integration.learning.loop_world import PlayedLoader

TRAINED = TrainedArtifact(
    job_id="J",
    cause="drift",
    drift_report_id="R",
    estimator="LogisticRegression",
    task="classification",
    pipeline=BlobRef("models/ab", "ab" * 32, 10),
    reference=BlobRef("models/cd", "cd" * 32, 20),
    trained_from_us=1_000_001,
    trained_until_us=2_000_002,
    training_commit_seq=7,
    rows_fitted=300,
    rows_tested=100,
    metrics=(Measured("roc_auc", 0.75, 0.7, 0.8),),
    champion_metrics=(Measured("roc_auc", 0.7, 0.6, 0.8),),
    importance=(Importance("clicks_5m", 0.0, 0.0), Importance("plan", 0.1, 0.01)),
    lineage_json='{"seed": 1}',
)


@attrs.frozen
class Registered:
    """A model with two versions of features only, and two trained ones, the later champion."""

    service: ModelService
    models: ModelRegistry


@pytest.fixture
async def registered(tmp_path):
    async with open_store(StoreSettings(path=tmp_path / "trellis.duckdb")) as store:
        models = ModelRegistry(
            store.writer, store.reader, dict.fromkeys(("plan", "clicks_5m"), "user")
        )
        await models.load()
        await models.register("churn", ["plan"])
        await models.register("churn", ["plan", "clicks_5m"])
        for _ in range(2):
            change = models.plan_training(
                "churn", ("plan", "clicks_5m"), TRAINED, Promotion(Role.CHAMPION, "better")
            )
            await store.writer.submit(WriteRequest(change.operations))
        aliases = AliasMoves(models, PlayedLoader())
        quality = LiveQuality({}, FeaturesFile(), models, aliases, store.reader, store.writer)
        yield Registered(ModelService(models, aliases, quality), models)


async def test_a_trained_version_is_shown_with_what_came_of_its_training(registered):
    request = pb.GetModelRequest(model="churn")
    model = (await registered.service.GetModel(request)).model
    assert (model.version, model.source) == (4, pb.MODEL_SOURCE_TRAINED)
    trained = model.trained
    assert (trained.artifact, trained.sha256, trained.size_bytes) == ("models/ab", "ab" * 32, 10)
    assert trained.trained_from.ToMicroseconds() == 1_000_001
    assert trained.trained_until.ToMicroseconds() == 2_000_002
    assert (trained.rows_fitted, trained.rows_tested) == (300, 100)
    assert [(m.name, m.value, m.low, m.high) for m in trained.metrics] == [
        ("roc_auc", 0.75, 0.7, 0.8)
    ]
    assert [m.value for m in trained.champion_metrics] == [0.7]
    assert [one.feature for one in trained.importance] == ["plan", "clicks_5m"]
    assert (trained.job_id, trained.cause, trained.drift_report_id) == ("J", "drift", "R")


async def test_a_list_of_features_is_shown_without_a_training(registered):
    request = pb.GetModelRequest(model="churn", version=1)
    assert not (await registered.service.GetModel(request)).model.HasField("trained")


async def test_a_rollback_is_one_call(registered):
    champion = (await registered.service.GetModel(pb.GetModelRequest(model="churn"))).model
    assert (champion.version, champion.champion_before) == (4, 3)
    request = pb.SetAliasRequest(model="churn", alias="champion", version=3, expected_version=4)
    reply = await registered.service.SetAlias(request)
    assert (reply.model.version, reply.previous_version) == (3, 4)
    assert reply.model.champion_before == 0
    assert registered.models.get("churn").version == 3


async def test_a_challenger_is_named_and_taken_away(registered):
    named = pb.SetAliasRequest(model="churn", alias="challenger", version=3, expected_version=0)
    reply = await registered.service.SetAlias(named)
    assert (reply.model.version, reply.previous_version) == (3, 0)
    away = pb.SetAliasRequest(model="churn", alias="challenger", version=0)
    reply = await registered.service.SetAlias(away)
    assert (reply.model.version, reply.previous_version) == (4, 3)
    assert registered.models.find("churn").aliases == {"champion": 4}


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"version": 3, "expected_version": 3}, FailedPreconditionError, "is version 4"),
        ({"version": 3, "expected_version": 0}, FailedPreconditionError, "not nowhere"),
        ({"version": -1}, InvalidArgumentError, "version"),
        ({"version": 3, "expected_version": -1}, InvalidArgumentError, "expected_version"),
        ({"version": 9}, NotFoundError, "churn/9"),
        ({"version": 1}, FailedPreconditionError, "train it first"),
        ({"version": 0}, InvalidArgumentError, "not taken away"),
    ],
)
async def test_an_alias_that_cannot_be_moved_is_refused(registered, fields, error, message):
    request = pb.SetAliasRequest(model="churn", alias="champion", **fields)
    with pytest.raises(error, match=message):
        await registered.service.SetAlias(request)
    assert registered.models.find("churn").aliases == {"champion": 4}


async def test_quality_of_a_model_without_a_label_is_not_known(registered):
    with pytest.raises(FailedPreconditionError, match=r"no label in models\.yaml"):
        await registered.service.GetQuality(pb.GetQualityRequest(model="churn"))

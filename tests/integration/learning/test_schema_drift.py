"""Features that are removed, renamed, retyped or redefined after a model was trained on them."""

import shutil
from pathlib import Path

import grpc
import pytest

from proto.trellis.v1 import features_pb2
from tests.support.engine_process import EngineProcess
from tests.support.learning_engine import (
    FEATURES,
    MODELS,
    LearningEngine,
    prepare,
    running_engine,
    write_configs,
)
from tests.support.serving_engine import wait_until

CARTS = "carts: {from: events, where: {action: cart}, aggregate: count, window: 2m}"
RENAMED = FEATURES.replace("carts:", "baskets:")
RETYPED = FEATURES.replace(CARTS, "carts: {from: events, aggregate: first, column: action}")
REDEFINED = FEATURES.replace(CARTS, CARTS.replace("window: 2m", "window: 3m"))
WITHOUT = FEATURES.replace(CARTS, "")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose champion, version 2, was trained on views, carts and last_action."""
    folder = tmp_path_factory.mktemp("trained")
    prepare(folder)
    return folder


def test_an_engine_does_not_start_with_a_model_that_needs_what_is_not_defined(
    trained: Path, tmp_path: Path
) -> None:
    configs = write_configs(tmp_path / "configs", features=WITHOUT)
    with (
        pytest.raises(RuntimeError, match=r"ended with 2 .*\n(.*\n)*.*models\.yaml.*carts"),
        EngineProcess(tmp_path / "data", config_dir=configs),
    ):
        pass


@pytest.mark.parametrize(
    ("features", "needs"),
    [(WITHOUT, ["views", "last_action"]), (RENAMED, ["views", "baskets", "last_action"])],
    ids=["removed", "renamed"],
)
def test_a_champion_whose_feature_is_gone_is_refused_until_another_is_trained(
    trained: Path, tmp_path: Path, features: str, needs: list[str]
) -> None:
    models = MODELS.replace("[views, carts, last_action]", f"[{', '.join(needs)}]")
    shutil.copytree(trained / "data", tmp_path / "data")
    write_configs(tmp_path / "configs", features=features, models=models)
    with running_engine(tmp_path) as engine:
        assert "model needs undefined features" in engine.process.log_path.read_text()
        code, details = engine.refusal(timeout_s=60.0)
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert "needs features that features.yaml does not define any more: carts" in details
        # What the file declares now is a version of its own, and its features are served.
        assert list(engine.model(3).features) == needs
        request = features_pb2.GetFeaturesRequest(model="buys", version=3, entity_key=1)
        values = engine.call("FeatureService/GetFeatures", request).features
        assert [one.name for one in values] == needs
        check_recovery(engine, needs)


@pytest.mark.parametrize("features", [RETYPED, REDEFINED], ids=["type", "window"])
def test_a_champion_whose_feature_means_something_else_is_refused_until_another_is_trained(
    trained: Path, tmp_path: Path, features: str
) -> None:
    shutil.copytree(trained / "data", tmp_path / "data")
    write_configs(tmp_path / "configs", features=features)
    with running_engine(tmp_path) as engine:
        assert "champion was trained on other definitions" in engine.process.log_path.read_text()
        code, details = engine.refusal(timeout_s=60.0)
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert "trained on features that features.yaml defines otherwise now: carts" in details
        check_recovery(engine, ["views", "carts", "last_action"])


def test_a_champion_serves_again_once_its_features_are_as_they_were(
    trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained / "data", tmp_path / "data")
    write_configs(tmp_path / "configs", features=REDEFINED)
    with running_engine(tmp_path) as engine:
        assert engine.refusal(timeout_s=60.0)[0] is grpc.StatusCode.FAILED_PRECONDITION
    write_configs(tmp_path / "configs")
    with running_engine(tmp_path) as engine:
        assert engine.predict(timeout_s=60.0).model_version == 2


def check_recovery(engine: LearningEngine, needs: list[str]) -> None:
    """Another version is trained by itself: once, and not held to a champion that cannot answer."""
    wait_until(lambda: engine.trained_by("redefined"), 60.0)
    [version] = engine.trained_by("redefined")
    assert list(engine.model(version).features) == needs
    assert not engine.model(version).trained.champion_metrics
    engine.set_champion(version)
    assert engine.predict().model_version == version
    assert engine.trained_by("redefined") == [version]
    engine.check_log()

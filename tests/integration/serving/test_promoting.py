"""Which version becomes champion, asked of a real engine with real workers."""

import shutil
import time
from pathlib import Path

import grpc
import pytest

from proto.trellis.v1 import models_pb2
from tests.support.serving_engine import CHAMPION, ServingEngine, serving_engine


def promote(engine: ServingEngine, version: int) -> None:
    engine.call(
        "ModelService/SetAlias",
        models_pb2.SetAliasRequest(model="buys", alias="champion", version=version),
    )


def test_only_a_version_that_can_answer_becomes_champion(tmp_path: Path) -> None:
    three = (CHAMPION, CHAMPION, CHAMPION)
    with serving_engine(tmp_path, scorers=1, promotions=three) as engine:
        engine.wait_for_scorers(1)
        assert engine.predict(3, timeout_s=90.0).model_version == 4

        promote(engine, 3)
        began_s = time.monotonic()
        assert engine.predict(3).model_version == 3
        assert time.monotonic() - began_s < 1, "it was loaded before it was champion"

        shutil.rmtree(tmp_path / "data" / "blobs")
        with pytest.raises(grpc.RpcError) as refused:
            promote(engine, 2)
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "version 2 of 'buys' cannot answer" in refused.value.details()
        assert engine.predict(3).model_version == 3

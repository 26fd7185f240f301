"""A collector that is away, deaf or mad holds up neither calls nor the stop."""

import time
from pathlib import Path

import pytest

from proto.trellis.v1 import features_pb2
from tests.support.learning_engine import prepare, running_engine
from tests.support.otlp_receiver import Mode, OtlpReceiver
from tests.support.serving_engine import wait_until

CALLS = 200
WITHIN_S = 5.0
STOP_S = 20.0


@pytest.mark.parametrize("mode", ["hang", "drip", "garbage", "refuse", "throttle", "away"])
def test_answers_and_the_stop_do_not_wait_for_the_collector(tmp_path: Path, mode: Mode) -> None:
    prepare(tmp_path, ())
    with OtlpReceiver() as receiver:
        receiver.mode = mode
        receiver.retry_after = "3600"
        endpoint = "http://127.0.0.1:1" if mode == "away" else receiver.endpoint
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_TIMEOUT": "2"}
        settings = ("log.format=json", "shutdown.grace_s=5s")
        with running_engine(tmp_path, environment=environment, settings=settings) as engine:
            request = features_pb2.GetFeaturesRequest(features=["views"], entity_key=1)
            began_s = time.monotonic()
            for _ in range(CALLS):
                engine.call("FeatureService/GetFeatures", request)
            assert time.monotonic() - began_s < WITHIN_S
            wait_until(lambda: engine.metric("trellis_trace_spans_dropped_total{") > 0, 30.0)
            began_s = time.monotonic()
            assert engine.process.stop() == 0
            assert time.monotonic() - began_s < STOP_S
        engine.check_log()
        lines = engine.process.log_path.read_text().splitlines()
        told = [line for line in lines if "spans dropped" in line and '"engine.tracing' in line]
        assert len(told) == 1

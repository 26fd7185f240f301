"""The Open Inference Protocol, asked by tritonclient in a process and an environment of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from engine.errors import InvalidArgumentError
from engine.services.inference_tensors import Output, read_inputs, write_outputs
from proto.inference import open_inference_grpc_pb2 as pb
from tests.support.serving_engine import serving_engine

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "tests/support/triton_client.py"
PACKAGES = ("tritonclient[grpc]==2.73.0",)


@pytest.fixture(scope="session")
def triton_python(tmp_path_factory) -> Path:
    """A Python with tritonclient: TRELLIS_TRITON_PYTHON, or one made here if there is a way to."""
    given = os.environ.get("TRELLIS_TRITON_PYTHON")
    if given is not None:
        return Path(given)
    folder = tmp_path_factory.mktemp("triton") / "venv"
    python = folder / "bin/python"
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", *PACKAGES],
    ):
        made = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if made.returncode:
            pytest.skip(f"tritonclient cannot be installed: {made.stderr[-500:]}")
    return python


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with serving_engine(tmp_path_factory.mktemp("inference"), scorers=1) as running:
        running.predict(timeout_s=90.0)
        yield running


def test_tritonclient_predicts_for_entities_and_for_rows(engine, triton_python) -> None:
    score = engine.predict(7).prediction.score
    asked = subprocess.run(
        [triton_python, SCRIPT, engine.process.address("service_b")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    found = json.loads(asked.stdout)
    assert (found["live"], found["ready"], found["model_ready"]) == (True, True, [True, False])
    assert (found["server"], found["versions"]) == ("trellis", ["2"])
    assert found["inputs"] == [
        ["views", "INT64", [-1]],
        ["spend", "FP64", [-1]],
        ["last_action", "BYTES", [-1]],
    ]
    assert [name for name, _, _ in found["outputs"]] == [
        "score", "label", "probabilities", "classes",
    ]  # fmt: skip
    assert found["keys"]["score"] == [score] * 3
    rows = found["rows"]
    assert (rows["id"], rows["version"], rows["classes"]) == ("mine", "2", ["false", "true"])
    assert [one[1] for one in rows["probabilities"]] == rows["score"]
    assert rows["score"][0] != rows["score"][1]
    assert found["only"] == ["score"]
    [(missing, text), (datatype, _)] = found["refusals"]
    assert missing == datatype == "StatusCode.INVALID_ARGUMENT"
    assert "missing: last_action" in text


def infer(engine, model: str = "buys", version: str = "", **changes: Any) -> Any:
    """Ask for two rows, some tensors others than right or missing."""
    tensors = {
        "views": ("INT64", [1, 2]),
        "spend": ("FP64", [1.5, float("nan")]),
        "last_action": ("BYTES", ["view", "never heard of"]),
        **changes,
    }
    made = request(raw=True, **{name: one for name, one in tensors.items() if one is not None})
    made.model_name, made.model_version = model, version
    return call(engine, "ModelInfer", made)


def call(engine, method: str, asked: Any) -> Any:
    with grpc.insecure_channel(engine.process.address("service_b")) as channel:
        ask = channel.unary_unary(
            f"/inference.GRPCInferenceService/{method}",
            request_serializer=type(asked).SerializeToString,
            response_deserializer=getattr(pb, f"{method}Response").FromString,
        )
        return ask(asked, timeout=20.0)


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"model": "bus"}, grpc.StatusCode.NOT_FOUND, "'bus'"),
        ({"model": "named"}, grpc.StatusCode.FAILED_PRECONDITION, "never trained"),
        ({"version": "1"}, grpc.StatusCode.FAILED_PRECONDITION, "train it first"),
        ({"version": "99"}, grpc.StatusCode.NOT_FOUND, "buys/99"),
        ({"version": "0"}, grpc.StatusCode.INVALID_ARGUMENT, "model_version"),
        ({"version": "٢"}, grpc.StatusCode.INVALID_ARGUMENT, "model_version"),
        ({"version": "latest"}, grpc.StatusCode.INVALID_ARGUMENT, "model_version"),
        ({"views": None}, grpc.StatusCode.INVALID_ARGUMENT, "missing: views"),
        ({"x": ("INT64", [1, 2])}, grpc.StatusCode.INVALID_ARGUMENT, "too many: x"),
        ({"entity_key": ("INT64", [1, 2])}, grpc.StatusCode.INVALID_ARGUMENT, "too many"),
        ({"views": ("FP64", [1.0, 2.0])}, grpc.StatusCode.INVALID_ARGUMENT, "INT64 is needed"),
        ({"spend": ("BYTES", ["1", "2"])}, grpc.StatusCode.INVALID_ARGUMENT, "FP64 is needed"),
        ({"views": ("BOOL", [True, False])}, grpc.StatusCode.INVALID_ARGUMENT, "INT64 is needed"),
        ({"views": ("INT64", [1])}, grpc.StatusCode.INVALID_ARGUMENT, "the same rows"),
    ],
)
def test_what_cannot_be_inferred_is_refused_with_the_reason(engine, changes, code, text) -> None:
    with pytest.raises(grpc.RpcError, match=text) as raised:
        infer(engine, **changes)
    assert raised.value.code() is code


def test_rows_that_are_whole_are_answered_in_order_by_the_version_named(engine) -> None:
    answer = infer(engine, version="2")
    assert (answer.model_name, answer.model_version) == ("buys", "2")
    assert [one.name for one in answer.outputs] == ["score", "label", "probabilities", "classes"]
    scores = np.frombuffer(answer.raw_output_contents[0])
    one_by_one = [
        np.frombuffer(
            infer(
                engine,
                views=("INT64", [views]),
                spend=("FP64", [spend]),
                last_action=("BYTES", [action]),
            ).raw_output_contents[0]
        )[0]
        for views, spend, action in ((1, 1.5, "view"), (2, float("nan"), "never heard of"))
    ]
    assert scores.tolist() == one_by_one


def test_an_output_that_is_none_is_refused_before_anything_is_scored(engine) -> None:
    series = 'trellis_predictions_total{model="buys",outcome="predicted",version="2"}'
    before = engine.metric(series)
    asked = request(raw=True, entity_key=("INT64", [1, 2]))
    asked.model_name = "buys"
    asked.outputs.add(name="logits")
    with pytest.raises(grpc.RpcError, match="there are score, label") as raised:
        call(engine, "ModelInfer", asked)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert engine.metric(series) == before


def test_a_version_is_ready_when_a_worker_has_it(engine) -> None:
    def is_ready(name: str, version: str = "") -> bool:
        return call(engine, "ModelReady", pb.ModelReadyRequest(name=name, version=version)).ready

    assert is_ready("buys")
    assert is_ready("buys", "2")
    for unready in (("buys", "1"), ("buys", "99"), ("named",), ("bus",)):
        assert not is_ready(*unready)
    assert call(engine, "ServerLive", pb.ServerLiveRequest()).live
    assert call(engine, "ServerReady", pb.ServerReadyRequest()).ready


def request(raw: bool, **tensors) -> pb.ModelInferRequest:
    made = pb.ModelInferRequest()
    response = pb.ModelInferResponse()
    outputs = [
        Output(name, kind, (len(values),), values) for name, (kind, values) in tensors.items()
    ]
    write_outputs(response, outputs, raw=raw)
    for output in response.outputs:
        made.inputs.add(
            name=output.name,
            datatype=output.datatype,
            shape=output.shape,
            contents=output.contents,
        )
    made.raw_input_contents.extend(response.raw_output_contents)
    return made


@pytest.mark.parametrize("raw", [False, True])
def test_tensors_arrive_as_they_were_sent(raw) -> None:
    sent = {
        "a": ("INT64", [-(2**63), 2**63 - 1]),
        "b": ("FP64", [0.1 + 0.2, float("inf")]),
        "c": ("BYTES", ["", "é" * 3]),
        "d": ("BOOL", [True, False]),
        "e": ("INT32", [-1, 1]),
        "f": ("FP32", [float(np.float32(0.1)), 2.0]),
    }
    assert read_inputs(request(raw, **sent), 10) == sent


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda r: r.inputs[0].shape.append(2), "shape"),
        (lambda r: r.inputs[0].shape.__setitem__(0, 11), "1 to 10 rows"),
        (lambda r: r.inputs[0].shape.__setitem__(0, 3), "its shape says 3"),
        (lambda r: setattr(r.inputs[0], "datatype", "FP16"), "FP16"),
        (lambda r: r.raw_input_contents.append(b""), "2 of them for 1"),
        (lambda r: r.raw_input_contents.__setitem__(0, b"123"), "bytes are no INT64"),
        (lambda r: r.inputs.append(r.inputs[0]), "for 2 inputs"),
        (lambda r: setattr(r.inputs[0], "datatype", "BYTES"), "ends within a text"),
    ],
)
def test_tensors_that_are_broken_are_refused(change, text) -> None:
    made = request(raw=True, a=("INT64", [1, 2]))
    change(made)
    with pytest.raises(InvalidArgumentError, match=text):
        read_inputs(made, 10)

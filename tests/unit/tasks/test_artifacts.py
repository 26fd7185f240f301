"""What is no artifact of ours is refused with a reason, and nothing in it runs."""

import hashlib
import io
import json
import pickle
import random
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from engine.config import ESTIMATORS, Task
from engine.tasks import train
from engine.tasks.artifacts import ArtifactRefusedError, dump_pipeline, load_pipeline
from engine.tasks.artifacts.audit import iterate_objects
from engine.tasks.artifacts.container import MAX_BYTES, read_members, write_members
from tests.support.training_rows import PlayedJob, make_payload, make_rows

MIB = 1 << 20
MODELS = (
    "LogisticRegression",
    "DecisionTreeClassifier",
    "RandomForestClassifier",
    "HistGradientBoostingClassifier",
)
PARAMETERS = {
    "DecisionTreeClassifier": {"max_depth": 6},
    "RandomForestClassifier": {"n_estimators": 3, "max_depth": 4},
    "HistGradientBoostingClassifier": {"max_iter": 3},
}


@pytest.fixture(scope="module")
def artifacts() -> Mapping[str, bytes]:
    found = {}
    for name in MODELS:
        payload = make_payload(name, parameters=PARAMETERS.get(name, {}))
        job = PlayedJob(make_rows(rows=600), payload)
        train.run(job)
        found[name] = job.stored["pipeline"]
    return found


@pytest.fixture(scope="module")
def good(artifacts: Mapping[str, bytes]) -> bytes:
    return artifacts["LogisticRegression"]


def refusal_of(content: bytes, sha256: str | None = None) -> ArtifactRefusedError:
    with pytest.raises(ArtifactRefusedError) as refused:
        load_pipeline(content, sha256)
    assert str(refused.value)
    return refused.value


def with_schema(content: bytes, change: Callable[[Any], Any]) -> bytes:
    """Return the artifact with its schema changed in place, or by what is returned."""
    members = read_members(content)
    schema = json.loads(members["schema.json"])
    changed = change(schema)
    members["schema.json"] = json.dumps(schema if changed is None else changed).encode()
    return write_members(members)


def node(loader: str, module: str, name: str, content: Any = None) -> dict[str, Any]:
    return {"__loader__": loader, "__module__": module, "__class__": name, "content": content}


def json_node(value: Any) -> dict[str, Any]:
    return node("JsonNode", "builtins", "str", json.dumps(value))


def test_what_was_stored_is_what_is_loaded(artifacts: Mapping[str, bytes]) -> None:
    for content in artifacts.values():
        model = load_pipeline(content, hashlib.sha256(content).hexdigest())
        assert dump_pipeline(model.pipeline, model.signature) == content


def test_the_file_is_one_of_skops(good: bytes) -> None:
    trusted = skops.io.get_untrusted_types(data=good)
    pipeline = skops.io.loads(good, trusted=trusted)
    assert type(pipeline[1]) is LogisticRegression


def test_other_bytes_are_refused_before_they_are_parsed(
    good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(_: bytes) -> None:
        raise AssertionError("it was parsed")

    monkeypatch.setattr("engine.tasks.artifacts.file.read_members", parse)
    sha256 = hashlib.sha256(good).hexdigest()
    for place in (0, len(good) // 2, len(good) - 1):
        tampered = bytearray(good)
        tampered[place] ^= 1
        assert refusal_of(bytes(tampered), sha256).code == "tampered_artifact"


def test_the_artifact_of_another_version_is_refused_by_its_hash(
    artifacts: Mapping[str, bytes],
) -> None:
    sha256 = hashlib.sha256(artifacts["LogisticRegression"]).hexdigest()
    assert refusal_of(artifacts["DecisionTreeClassifier"], sha256).code == "tampered_artifact"


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_artifact_is_refused(good: bytes, share: float) -> None:
    assert refusal_of(good[: int(len(good) * share)]).code == "malformed_artifact"


class Witness:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def pickled_array(path: Path) -> bytes:
    sink = io.BytesIO()
    np.save(sink, np.array([Witness(path)], dtype=object), allow_pickle=True)
    return sink.getvalue()


def test_a_pickle_is_never_read(good: bytes, tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    pickled = pickle.dumps(Witness(witness))
    members = read_members(good)
    refusal_of(pickled)
    refusal_of(write_members({**members, "model.pkl": pickled}))
    refusal_of(write_members({**members, "schema.json": pickled}))
    refusal_of(write_members({**members, "signature.json": pickled}))
    refusal_of(write_members({**members, "0.npy": pickled}))
    refused = refusal_of(write_members({**members, "0.npy": pickled_array(witness)}))
    assert refused.code == "untrusted_artifact"
    assert not witness.exists()


TOUCH = "/nothing/is/ever/made/here"
UNTRUSTED = {
    "posix.system": node("FunctionNode", "posix", "system"),
    "builtins.eval": node("TypeNode", "builtins", "eval"),
    "builtins.print": node("FunctionNode", "builtins", "print"),
    "subprocess.Popen": node("ObjectNode", "subprocess", "Popen", json_node({"args": "true"})),
    "pathlib.Path": node("ConstructorFromReduceNode", "pathlib", "Path", json_node([TOUCH])),
    "functools.partial": node("PartialNode", "functools", "partial", {}),
    "operator.methodcaller": {
        **node("OperatorFuncNode", "operator", "methodcaller"),
        "attrs": json_node(["touch"]),
    },
    "pathlib.PosixPath": node("MethodNode", "pathlib", "PosixPath", {"func": "touch"}),
    "collections.defaultdict": node("DefaultDictNode", "collections", "defaultdict", {}),
    # A type of the list, but not for this kind of node.
    "numpy.ndarray": node("ConstructorFromReduceNode", "numpy", "ndarray", json_node([[1 << 40]])),
    "sklearn.preprocessing._function_transformer.FunctionTransformer": node(
        "ObjectNode", "sklearn.preprocessing._function_transformer", "FunctionTransformer"
    ),
    "sklearn.neural_network._multilayer_perceptron.MLPClassifier": node(
        "ObjectNode", "sklearn.neural_network._multilayer_perceptron", "MLPClassifier"
    ),
}


@pytest.mark.parametrize("name", UNTRUSTED)
def test_a_type_that_is_not_on_the_list_is_refused_by_name(good: bytes, name: str) -> None:
    def hide(schema: Any) -> None:
        # Deep in the parameters of the estimator, where nobody would miss it.
        entries = [one for one in iterate_objects(schema) if one.get("__loader__") == "DictNode"]
        entries[-1]["content"]["extra"] = UNTRUSTED[name]

    refused = refusal_of(with_schema(good, hide))
    assert refused.code == "untrusted_artifact"
    assert name in str(refused)


def test_a_pipeline_with_code_of_its_own_is_not_even_stored(good: bytes) -> None:
    model = load_pipeline(good)
    model.pipeline.steps[0] = ("columns", FunctionTransformer(np.log1p))
    with pytest.raises(ArtifactRefusedError) as refused:
        dump_pipeline(model.pipeline, model.signature)
    assert refused.value.code == "untrusted_artifact"


@pytest.mark.parametrize("protocol", [0, 1, 3, None, "2", True])
def test_only_the_newest_protocol_is_read(good: bytes, protocol: Any) -> None:
    refused = refusal_of(with_schema(good, lambda schema: schema | {"protocol": protocol}))
    assert "protocol" in str(refused)


@pytest.mark.parametrize(
    "name",
    ["../../escape.npy", "/etc/passwd", "a/0.npy", "0.npy\x00.py", "0.bin", "x.npz", "SCHEMA.JSON"],
)
def test_a_member_of_another_name_is_refused(good: bytes, name: str) -> None:
    sink = io.BytesIO(good)
    with zipfile.ZipFile(sink, "a") as archive:
        info = zipfile.ZipInfo("placeholder")
        info.filename = name
        archive.writestr(info, b"content")
    assert refusal_of(sink.getvalue()).code == "malformed_artifact"


def test_members_that_are_there_twice_are_refused(good: bytes) -> None:
    sink = io.BytesIO(good)
    with zipfile.ZipFile(sink, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("schema.json", b"{}")
    assert "twice" in str(refusal_of(sink.getvalue()))


def compressed(content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in {**read_members(content), "999.npy": bytes(100 * MIB)}.items():
            archive.writestr(name, member)
    return sink.getvalue()


def overlapping(content: bytes) -> bytes:
    """Return an archive whose list has one large member a thousand times."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, member in read_members(content).items():
            archive.writestr(name, member)
        archive.writestr("1000.npy", bytes(MIB))
        large = archive.infolist()[-1]
        for number in range(1_001, 2_000):
            again = zipfile.ZipInfo(f"{number}.npy")
            for field in ("header_offset", "CRC", "compress_size", "file_size"):
                setattr(again, field, getattr(large, field))
            archive.filelist.append(again)
    return sink.getvalue()


def endless_directory(content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("schema.json", b"{}")
        for number in range(200_000):
            again = zipfile.ZipInfo(f"{number}.npy")
            again.header_offset = again.CRC = 0
            archive.filelist.append(again)
    return sink.getvalue()


def promised(content: bytes) -> bytes:
    """Return an artifact with an array that says it is a hundred terabytes long."""
    header = repr({"descr": "<f8", "fortran_order": False, "shape": (1 << 44,)}).encode() + b"\n"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(64)
    return write_members({**read_members(content), "0.npy": array})


def nested(content: bytes) -> bytes:
    deep = b"[" * 500_000 + b"]" * 500_000
    return write_members(
        {**read_members(content), "schema.json": b'{"protocol": 2, "a":%b}' % deep}
    )


def crowded(content: bytes) -> bytes:
    many = b"[" + b"{}," * 5_000_000 + b"{}]"
    return write_members(
        {**read_members(content), "schema.json": b'{"protocol": 2, "a":%b}' % many}
    )


def lengthy(content: bytes) -> bytes:
    text = b'{"protocol": 2, "a": [' + b"1," * (20 * MIB) + b"1]}"
    return write_members({**read_members(content), "schema.json": text})


@pytest.mark.parametrize(
    ("make", "most_mib"),
    [
        (compressed, 16),
        (overlapping, 16),
        (endless_directory, 16),
        (promised, 16),
        (nested, 16),
        (crowded, 40),
        (lengthy, 100),
    ],
)
def test_what_is_made_to_exhaust_memory_is_refused_in_little(
    good: bytes, make: Callable[[bytes], bytes], most_mib: int
) -> None:
    hostile = make(good)
    tracemalloc.start()
    refusal_of(hostile)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < most_mib * MIB


def test_an_artifact_that_is_too_large_is_not_read() -> None:
    assert refusal_of(bytes(MAX_BYTES + 1)).code == "artifact_too_large"


def with_signature(content: bytes, **changes: Any) -> bytes:
    members = read_members(content)
    signature = json.loads(members["signature.json"]) | changes
    return write_members({**members, "signature.json": json.dumps(signature).encode()})


FEATURES = ["recency", "spend", "visits", "member", "plan"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"libraries": {"sklearn": "0.1"}}, "other_library"),
        ({"libraries": {}}, "other_library"),
        ({"features": FEATURES[::-1]}, "malformed_artifact"),
        ({"features": FEATURES[:4]}, "malformed_artifact"),
        ({"features": []}, "malformed_artifact"),
        ({"types": dict.fromkeys(FEATURES, "double")}, "malformed_artifact"),
        ({"types": dict.fromkeys(FEATURES, "blob")}, "malformed_artifact"),
        ({"classes": [True, False]}, "malformed_artifact"),
        ({"classes": None}, "malformed_artifact"),
        ({"task": "regression"}, "malformed_artifact"),
        ({"format": 2}, "malformed_artifact"),
        ({"more": 1}, "malformed_artifact"),
    ],
)
def test_a_signature_that_is_not_the_pipelines_is_refused(
    good: bytes, changes: dict[str, Any], code: str
) -> None:
    assert refusal_of(with_signature(good, **changes)).code == code


def dressed(content: bytes, change: Callable[[Any], Any]) -> bytes:
    """Return an artifact of trusted types that were put together by somebody else."""
    model = load_pipeline(content)
    pipeline = change(model.pipeline) or model.pipeline
    return dump_pipeline(pipeline, model.signature)


@pytest.mark.parametrize(
    "change",
    [
        lambda pipeline: pipeline[1],
        lambda pipeline: pipeline.set_params(memory="/tmp/cache"),
        lambda pipeline: pipeline.set_params(columns__n_jobs=8),
        lambda pipeline: pipeline.steps.reverse(),
        lambda pipeline: pipeline.steps.append(("more", LogisticRegression())),
        lambda pipeline: pipeline[1].__dict__.update(coef_=np.zeros((1, 2))),
        lambda pipeline: pipeline[1].__dict__.update(classes_=np.array([0, 1])),
        lambda pipeline: pipeline[0].transformers_.clear(),
        lambda pipeline: pipeline[0].transformers_[0][1].steps.reverse(),
    ],
)
def test_trusted_parts_put_together_otherwise_are_refused(
    good: bytes, change: Callable[[Any], Any]
) -> None:
    assert refusal_of(dressed(good, change)).code == "malformed_artifact"


def with_nodes(content: bytes, change: Callable[[Any], None]) -> bytes:
    """Return the artifact with the nodes of its first tree changed."""
    members = read_members(content)
    for name, member in members.items():
        if not name.endswith(".npy"):
            continue
        array = np.load(io.BytesIO(member))
        if array.dtype.names and len(array) > 2:
            change(array)
            sink = io.BytesIO()
            np.save(sink, array)
            return write_members({**members, name: sink.getvalue()})
    raise AssertionError("there is no tree")


def point(field: str, value: int) -> Callable[[Any], None]:
    def change(nodes: Any) -> None:
        nodes[field][0] = value

    return change


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("DecisionTreeClassifier", "left_child", 0),
        ("DecisionTreeClassifier", "right_child", 1 << 40),
        ("DecisionTreeClassifier", "right_child", -5),
        ("DecisionTreeClassifier", "feature", 1 << 40),
        ("DecisionTreeClassifier", "feature", -9),
        ("RandomForestClassifier", "left_child", 1 << 20),
        ("RandomForestClassifier", "feature", 1 << 20),
        ("HistGradientBoostingClassifier", "left", 0),
        ("HistGradientBoostingClassifier", "right", 1 << 30),
        ("HistGradientBoostingClassifier", "feature_idx", 1 << 20),
        ("HistGradientBoostingClassifier", "is_categorical", 1),
    ],
)
def test_a_tree_that_leads_out_of_itself_is_refused(
    artifacts: Mapping[str, bytes], name: str, field: str, value: int
) -> None:
    refused = refusal_of(with_nodes(artifacts[name], point(field, value)))
    assert refused.code == "malformed_artifact"


def test_a_tree_with_more_outputs_than_ours_is_not_made(artifacts: Mapping[str, bytes]) -> None:
    def widen(schema: Any) -> None:
        for entry in iterate_objects(schema):
            if entry.get("__loader__") == "TreeNode":
                entry["__reduce__"]["args"]["content"][2]["content"] = "1000000"

    refused = refusal_of(with_schema(artifacts["DecisionTreeClassifier"], widen))
    assert "a tree of another kind" in str(refused)


@pytest.mark.parametrize("name", MODELS)
def test_whatever_is_changed_in_it_an_artifact_is_a_model_or_refused(
    artifacts: Mapping[str, bytes], name: str
) -> None:
    """The archive stays sound, so that what is in it is what is looked at."""
    draw = random.Random(name)
    members = read_members(artifacts[name])
    rows = make_rows(rows=50, seed=3)
    outcomes = {"model": 0, "refused": 0}
    for _ in range(60):
        part = draw.choice([*members])
        changed = bytearray(members[part])
        for _ in range(draw.randint(1, 4)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        try:
            model = load_pipeline(write_members({**members, part: bytes(changed)}))
        except ArtifactRefusedError:
            outcomes["refused"] += 1
        else:
            outcomes["model"] += 1
            with np.errstate(all="ignore"):
                model.predict(rows)
    assert min(outcomes.values()) > 0


def test_every_estimator_of_the_list_is_trusted() -> None:
    for name, known in ESTIMATORS.items():
        label = "bool" if known.task is Task.CLASSIFICATION else "double"
        for parameters in ({}, *LOSSES.get(name, [])):
            small = {"n_estimators": 2} if "Forest" in name else {}
            payload = make_payload(name, known.task.value, parameters=small | parameters)
            job = PlayedJob(make_rows(label, rows=600), payload)
            train.run(job)
            load_pipeline(job.stored["pipeline"])


LOSSES: dict[str, list[dict[str, Any]]] = {
    "HistGradientBoostingRegressor": [
        {"loss": "absolute_error", "max_iter": 3},
        {"loss": "poisson", "max_iter": 3},
        {"loss": "gamma", "max_iter": 3},
        {"loss": "quantile", "quantile": 0.5, "max_iter": 3},
        {"early_stopping": True, "max_iter": 30},
    ],
    "HistGradientBoostingClassifier": [
        {"early_stopping": True, "max_iter": 30},
        {"class_weight": "balanced", "max_features": 0.5, "max_iter": 3},
    ],
    "RandomForestClassifier": [
        {"bootstrap": False, "max_features": "log2"},
        {"max_samples": 0.5, "class_weight": "balanced_subsample"},
    ],
    "LogisticRegression": [
        {"solver": "saga", "l1_ratio": 0.5},
        {"solver": "liblinear"},
        {"solver": "newton-cholesky", "class_weight": "balanced"},
    ],
    "Ridge": [{"solver": "sag"}, {"positive": True, "solver": "lbfgs"}],
    "LinearRegression": [{"positive": True}],
    "PoissonRegressor": [{"solver": "newton-cholesky"}],
    "DecisionTreeClassifier": [{"splitter": "random", "max_leaf_nodes": 5}],
    "DecisionTreeRegressor": [{"criterion": "absolute_error", "ccp_alpha": 0.01}],
}

"""What is generated from the .proto files is what is committed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import EnumDescriptor

from proto.trellis.v1 import dead_letters_pb2, features_pb2, models_pb2

ROOT = Path(__file__).resolve().parents[3]
FILES = (features_pb2, models_pb2, dead_letters_pb2)


def test_the_generated_modules_are_current(tmp_path: Path) -> None:
    subprocess.run(
        ["bash", str(ROOT / "ops/generate_proto.sh"), str(tmp_path)],
        env=os.environ | {"PYTHON": sys.executable},
        check=True,
    )
    packages = ("proto/trellis/v1", "proto/inference")
    generated = {
        path.name: path.read_text()
        for package in packages
        for path in (tmp_path / package).iterdir()
    }
    committed = {
        path.name: path.read_text()
        for package in packages
        for pattern in ("*_pb2.py", "*_pb2.pyi", "*_grpc.py")
        for path in (ROOT / package).glob(pattern)
    }
    assert committed == generated


def test_the_api_reference_is_current() -> None:
    subprocess.run([sys.executable, str(ROOT / "ops/generate_api_docs.py"), "--check"], check=True)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.__name__)
def test_every_enum_starts_with_an_unspecified_value(file: object) -> None:
    for enum in vars(file)["DESCRIPTOR"].enum_types_by_name.values():
        assert isinstance(enum, EnumDescriptor)
        zero = enum.values_by_number[0].name
        assert zero.endswith("_UNSPECIFIED")
        assert all(v.name.startswith(zero.removesuffix("UNSPECIFIED")) for v in enum.values)

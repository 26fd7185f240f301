"""Heavy libraries stay out of the engine process."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from engine.imports import keep_out

ROOT = Path(__file__).resolve().parents[2]

ARROW_WITHOUT_PANDAS = """
import sys
from engine.imports import keep_out
with keep_out("pandas"):
    import pyarrow as pa
    import duckdb
    table = pa.table({"a": pa.array([1, None, 3]), "b": ["x", "y", None]})
    connection = duckdb.connect()
    connection.register("given", table)
    found = connection.sql("SELECT sum(a) AS s FROM given").to_arrow_table()
    assert found.to_pylist() == [{"s": 4}], found
    assert pa.scalar(1.5).as_py() == 1.5
assert "pandas" not in sys.modules
"""


def test_a_module_kept_out_looks_as_if_it_were_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with keep_out("colorsys"), pytest.raises(ModuleNotFoundError, match="kept out"):
        importlib.import_module("colorsys")
    assert importlib.import_module("colorsys")


def test_arrow_and_duckdb_do_without_pandas() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ARROW_WITHOUT_PANDAS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

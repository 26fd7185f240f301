"""SQL is written by us, values travel beside it: every place where SQL is put together is known."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.features.sql import quote_text, quote_texts

ROOT = Path(__file__).resolve().parents[2]

OWN_NAMES = "names of tables and columns of our own schema, or constants of the module"
WRITTEN = "parts that are written here; names of items and features are numbered or identifiers"
LITERALS = "literals of features.yaml, by quote_text"
REVIEWED = {
    "engine.features.history.fetch_cells": LITERALS,
    "engine.features.history._write_cells_at": WRITTEN,
    "engine.features.history._write_cells_at.over_window": WRITTEN,
    "engine.features.history.write_event_items": LITERALS,
    "engine.features.loading.load_entities": LITERALS,
    "engine.features.resting._Parts._add_end": WRITTEN,
    "engine.features.resting._choose": WRITTEN,
    "engine.features.resting._Parts.add": WRITTEN,
    "engine.features.resting.write_movable_events": LITERALS,
    "engine.features.summaries": WRITTEN,
    "engine.features.summaries._newest": WRITTEN,
    "engine.features.summaries._write_end.write": WRITTEN,
    "engine.features.summaries.write_summaries": WRITTEN,
    "engine.features.training._draft_events": WRITTEN,
    "engine.features.training._draft_events.over_frame": WRITTEN,
    "engine.features.training._draft_uploads": LITERALS,
    "engine.features.training._write_frame": "numbers, and names that are numbered",
    "engine.features.training._write_step": "an expression, compiled from its tree",
    "engine.features.training.write_training_set": WRITTEN,
    "engine.models.labels._fetch_grid": "one query of labels.sql put into another",
    "engine.models.labels._fetch_uploaded": "a cast of a fixed table, by the label's type",
    "engine.models.labels.fetch_outcomes": "a condition on parameters",
    "engine.retention.movable.MovableTable.write_keys_query": OWN_NAMES,
    "engine.retention.movable.MovableTable.write_last_commit_query": OWN_NAMES,
    "engine.retention.movable.MovableTable.write_oldest_query": OWN_NAMES,
    "engine.retention.movable.MovableTable.write_rows_query": OWN_NAMES,
    "engine.store.compacting._copy_table": OWN_NAMES,
    "engine.store.snapshot.count_rows": OWN_NAMES,
    "engine.store.store._last_commit_seq": OWN_NAMES,
    "engine.store.transaction._delete": OWN_NAMES,
    "engine.store.transaction._insert": OWN_NAMES,
}
"""Where SQL is put together, and of what. Whoever adds a line here has looked that no text of a
caller, a file, an event or a peer can get into it: such texts are parameters."""

SQL = re.compile(
    r"\b(SELECT\b.*|INSERT INTO|DELETE FROM|UPDATE \S+ SET|CREATE (OR REPLACE )?(TEMP )?\w*"
    r"|ALTER TABLE|DROP \w+|ATTACH|DETACH|COPY|PRAGMA|GROUP BY|ORDER BY|WHERE|FROM|UNION"
    r"|WITH \w+ AS)\b"
)
EXECUTING = {"execute", "executemany", "sql", "query", "fetch_rows", "fetch_arrow"}


def engine_modules() -> list[Path]:
    return sorted(p for p in (ROOT / "engine").rglob("*.py"))


def texts_of(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def is_put_together(node: ast.AST) -> bool:
    """Tell whether an expression makes a text of parts that are not all written there."""
    match node:
        case ast.JoinedStr(values=values):
            return any(isinstance(value, ast.FormattedValue) for value in values)
        case ast.BinOp(op=ast.Add() | ast.Mod()):
            return True
        case ast.Call(func=ast.Attribute(attr="format" | "join" | "replace" | "format_map")):
            return True
        case ast.Call(func=ast.Attribute(attr="substitute" | "safe_substitute")):
            return True
    return False


def is_query_of_a_file(node: ast.AST) -> bool:
    """Tell whether parts are put into a query that `load_queries` has read."""
    match node:
        case ast.Call(
            func=ast.Attribute(value=ast.Subscript(value=owner), attr="format" | "replace")
        ):
            return ast.unparse(owner).lower().endswith(("queries", "sql"))
    return False


def executes(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr=name), args=[first, *_]) if name in EXECUTING:
            return is_put_together(first)
    return False


def places(path: Path) -> Iterator[str]:
    """Yield the functions of a module that put SQL together, as "package.module.function"."""

    def walk(node: ast.AST, where: str) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            inside = where
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inside = f"{where}.{child.name}"
            writes = is_put_together(child) and any(map(SQL.search, texts_of(child)))
            if writes or executes(child) or is_query_of_a_file(child):
                yield where
            yield from walk(child, inside)

    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    yield from walk(ast.parse(path.read_text(encoding="utf-8")), module)


def test_sql_is_put_together_only_where_it_was_reviewed() -> None:
    found = {place for path in engine_modules() for place in places(path)}
    assert found - REVIEWED.keys() == set(), "make them parameters, or review them and say why"
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in engine_modules()}
    known = {place for place in REVIEWED if any(place.startswith(f"{m}.") for m in modules)}
    gone = {place for place in known - found if place not in modules}
    assert gone == set(), "what was reviewed is not there any more"


@pytest.mark.parametrize(
    "line",
    [
        'reader.fetch_rows(f"SELECT * FROM events WHERE action = {action}")',
        'connection.execute("DELETE FROM jobs WHERE id = " + job_id)',
        'connection.execute("SELECT %s" % name)',
        'query = "SELECT {}".format(name)',
        'sql = _QUERIES["jobs"].replace("{state}", state)',
        "connection.execute(f'CHECKPOINT {name}')",
    ],
)
def test_the_test_sees_what_it_looks_for(line: str) -> None:
    tree = ast.parse(f"def find():\n    {line}")
    seen = any(
        (is_put_together(node) and any(map(SQL.search, texts_of(node))))
        or executes(node)
        or is_query_of_a_file(node)
        for node in ast.walk(tree)
    )
    assert seen


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_a_quoted_text_is_that_text_and_nothing_more(text: str) -> None:
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT {quote_text(text)}").fetchall() == [(text,)]


@pytest.mark.parametrize("text", ["'; DROP TABLE t; --", "\\'", "''", "{0}", "%s", "$1", "?"])
def test_quoted_texts_stay_texts_beside_each_other(text: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (action VARCHAR)")
        connection.execute("INSERT INTO t VALUES (?), ('other')", [text])
        texts = quote_texts([text, "none"])
        found = connection.execute(f"SELECT action FROM t WHERE action IN ({texts})").fetchall()
        assert found == [(text,)]

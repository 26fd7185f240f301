"""Formulas: what is accepted, what is refused and how, and that Python and DuckDB agree."""

import functools
import math
import struct
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.features.expression import (
    MAX_LENGTH,
    ExpressionError,
    Literal,
    Node,
    Operation,
    Reference,
    find_references,
    parse_expression,
)
from engine.features.expression_python import compile_python
from engine.features.expression_sql import compile_sql

TYPES = {"n": "int64", "x": "double", "y": "double", "s": "string", "b": "bool"}
SLOTS = {name: slot for slot, name in enumerate(TYPES)}


def evaluate(text: str, **values: Any) -> Any:
    node = parse_expression(text, TYPES)
    return compile_python(node, SLOTS)([values.get(name) for name in TYPES])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n / 2", 1.5),
        ("-x + 2 * y", 3.0),
        ("x / 0", None),
        ("coalesce(x / 0, 7)", 7.0),
        ("coalesce(s, 'none') == 'none'", True),
        ("'big' if x > y else 'small'", "small"),
        ("min(x, y) + max(x, y) + abs(-1)", 4.0),
        ("x < y and not b", False),
        ("x > y or b", True),
        ("1e308 * 10", None),
        ("-0.0", 0.0),
        ("s", None),
        ("x + coalesce(s, '1') if b else x", None),
    ],
)
def test_a_formula_is_computed_in_floats_with_missing_for_what_is_not_finite(
    text: str, expected: Any
) -> None:
    if "coalesce(s, '1') if" in text:
        with pytest.raises(ExpressionError, match="type string"):
            evaluate(text)
        return
    found = evaluate(text, n=3, x=1.0, y=2.0, b=True)
    assert found == expected
    assert type(found) is type(expected)
    if found == 0:
        assert math.copysign(1, found) == 1


@pytest.mark.parametrize(
    "text", ["x + 1", "x < 1", "x > 1 and b", "b or x > 1", "1 if x > 1 else 2"]
)
def test_a_missing_input_makes_the_result_missing(text: str) -> None:
    assert evaluate(text, b=True) is None


def test_only_the_branch_taken_must_have_a_value() -> None:
    assert evaluate("y if b else x", b=True, y=1.0) == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("xx + 1", "unknown feature 'xx'"),
        ("sqrt(x)", "unknown function 'sqrt'"),
        ("x + s", "'s' of type string"),
        ("x if y else 1", "'y' of type double"),
        ("s < 'a'", "== and !="),
        ("1 < x < 2", "between two values"),
        ("x ** 2", "x ** 2"),
        ("x.real", "x.real"),
        ("__import__('os')", "unknown function"),
        ("[x for x in y]", "for x in y"),
        ("lambda: 1", "lambda"),
        ("(x := 1)", "x := 1"),
        ("f'{x}'", "f'"),
        ("x +", "invalid syntax"),
        ("", "allowed: numbers"),
        ("1e999", "finite numbers"),
        ("9" * 400, "finite numbers"),
        ("None", "finite numbers"),
        ("'\\n'", "printable"),
        ("b + 1", "'b' of type bool"),
        ("coalesce(x)", "two or more"),
        ("coalesce(x, s)", "double, string"),
        ("abs(x, y)", "abs() of 1"),
        ("max(*x)", "plain arguments"),
        ("min(x, key=y)", "plain arguments"),
        ("x" * (MAX_LENGTH + 1), "1001 characters"),
        ("-" * 20 + "x", "nesting deeper"),
        ("(" * 300 + "x" + ")" * 300, "allowed: numbers"),
        ("x if b else s", "double, string"),
    ],
)
def test_what_does_not_fit_the_grammar_is_refused_with_the_part_at_fault(
    text: str, message: str
) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text, TYPES)
    assert message in str(caught.value)


def test_a_misspelt_name_gets_a_suggestion() -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression("clicks_5n + 1", {"clicks_5m": "int64"})
    assert caught.value.nearest == "clicks_5m"


def test_references_are_found_once_each_without_function_names() -> None:
    assert sorted(find_references("max(x, y) / x + abs(n)")) == ["n", "x", "y"]


NUMBERS = st.one_of(
    st.sampled_from((0.0, 1.0, -1.0, 0.1, 1e308, -1e308, 5e-324, 3.0)),
    st.floats(allow_nan=False, allow_infinity=False),
).map(lambda value: value + 0.0)


@functools.cache
def nodes(type_: str, depth: int) -> st.SearchStrategy[Node]:
    leaves: dict[str, st.SearchStrategy[Node]] = {
        "double": st.one_of(
            NUMBERS.map(lambda v: Literal(v, "double")),
            st.sampled_from(("n", "x", "y")).map(lambda n: Reference(n, "double")),
        ),
        "string": st.one_of(
            st.sampled_from(("", "a", "it's", "ü")).map(lambda v: Literal(v, "string")),
            st.just(Reference("s", "string")),
        ),
        "bool": st.one_of(
            st.booleans().map(lambda v: Literal(v, "bool")), st.just(Reference("b", "bool"))
        ),
    }
    if depth == 0:
        return leaves[type_]

    def operation(symbols: tuple[str, ...], *types: str) -> st.SearchStrategy[Node]:
        operands = st.tuples(*(nodes(t, depth - 1) for t in types))
        return st.builds(lambda s, o: Operation(s, o, type_), st.sampled_from(symbols), operands)

    choices = [leaves[type_], operation(("if",), "bool", type_, type_)]
    choices.append(operation(("coalesce",), type_, type_))
    if type_ == "double":
        choices.append(operation(("+", "-", "*", "/", "min", "max"), "double", "double"))
        choices.append(operation(("neg", "abs"), "double"))
    if type_ == "bool":
        choices.append(operation(("==", "!=", "<", "<=", ">", ">="), "double", "double"))
        choices.append(operation(("==", "!="), "string", "string"))
        choices.append(operation(("and", "or"), "bool", "bool", "bool"))
        choices.append(operation(("not",), "bool"))
    return st.one_of(choices)


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values, values)


INPUTS = st.tuples(
    optional(st.integers(-(2**63), 2**63 - 1)),
    optional(NUMBERS),
    optional(NUMBERS),
    optional(st.sampled_from(("", "a", "it's"))),
    optional(st.booleans()),
)


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t (n BIGINT, x DOUBLE, y DOUBLE, s VARCHAR, b BOOLEAN)")
    return connection


@settings(max_examples=300, deadline=None)
@given(
    node=st.sampled_from(("double", "string", "bool")).flatmap(lambda t: nodes(t, 3)),
    rows=st.lists(INPUTS, min_size=1, max_size=4),
)
def test_python_and_duckdb_compute_the_same_bits(
    connection: duckdb.DuckDBPyConnection, node: Node, rows: list[tuple[Any, ...]]
) -> None:
    connection.execute("DELETE FROM t")
    connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
    sql = compile_sql(node, {name: name for name in TYPES})
    by_duckdb = [value for (value,) in connection.execute(f"SELECT {sql} FROM t").fetchall()]
    compute = compile_python(node, SLOTS)
    assert [bits(compute(row)) for row in rows] == [bits(value) for value in by_duckdb]


def bits(value: Any) -> Any:
    return struct.pack("<d", value) if isinstance(value, float) else (type(value), value)

"""Formulas as DuckDB SQL, with the meaning that `expression_python` gives them, bit for bit.

Every operand appears once in the text, so that it grows with the formula and not with its power:
hence the one-element lists, which bind a value to a name.
"""

from collections.abc import Mapping

from engine.features.expression import Literal, Node, Operation, Reference
from engine.features.sql import quote_text

_COMPARISONS = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_CHOICES = {"min": "<=", "max": ">="}


def compile_sql(node: Node, columns: Mapping[str, str]) -> str:
    """Return the formula as an SQL expression; NULL stands for MISSING.

    Args:
      node: the formula.
      columns: an SQL column for each feature it names.
    """
    sql = _compile(node, columns)
    # Adding zero turns -0.0 into 0.0.
    return f"({sql} + 0.0::DOUBLE)" if node.type == "double" else sql


def _compile(node: Node, columns: Mapping[str, str]) -> str:
    match node:
        case Literal(value=bool() as truth):
            return "TRUE" if truth else "FALSE"
        case Literal(value=str() as text):
            return quote_text(text)
        case Literal(value=number):
            return f"'{number!r}'::DOUBLE"
        case Reference(name=name, type="double"):
            return f"{columns[name]}::DOUBLE"
        case Reference(name=name):
            return columns[name]
        case Operation(operator=symbol, operands=operands):
            return _operation(symbol, [_compile(operand, columns) for operand in operands])


def _operation(symbol: str, operands: list[str]) -> str:
    if symbol in _COMPARISONS:
        return f"({operands[0]} {_COMPARISONS[symbol]} {operands[1]})"
    match symbol, operands:
        case (("+" | "-" | "*" | "/"), [a, b]):
            return (
                f"list_transform([{a} {symbol} {b}], lambda v: CASE WHEN isfinite(v) THEN v END)[1]"
            )
        case "neg", [a]:
            return f"(-({a}))"
        case "abs", [a]:
            return f"abs({a})"
        case "not", [a]:
            return f"(NOT {a})"
        case (("min" | "max"), [a, b]):
            # least() and greatest() pass over NULL; this gives NULL when either is.
            compare = _CHOICES[symbol]
            return (
                f"list_transform([{{'a': {a}, 'b': {b}}}], lambda p: "
                f"CASE WHEN p.a {compare} p.b THEN p.a "
                f"WHEN NOT (p.a {compare} p.b) THEN p.b END)[1]"
            )
        case "and", _:
            # As integers, because SQL's FALSE AND NULL is FALSE, and here it is MISSING.
            return "(" + " & ".join(f"({a})::INTEGER" for a in operands) + ")::BOOLEAN"
        case "or", _:
            return "(" + " | ".join(f"({a})::INTEGER" for a in operands) + ")::BOOLEAN"
        case "if", [test, then, otherwise]:
            return f"[{otherwise}, {then}][({test})::INTEGER + 1]"
        case "coalesce", _:
            return f"coalesce({', '.join(operands)})"
    raise AssertionError(f"operator {symbol}")

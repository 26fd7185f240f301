"""Formulas over features: a small grammar, read with Python's parser but never run by it.

Numbers, texts, True and False, feature names, `+ - * /`, unary minus, comparisons, `and or not`,
`a if c else b`, `coalesce(a, b, ...)`, `min(a, b)`, `max(a, b)`, `abs(a)`. All arithmetic is in
64-bit floats. There are no transcendental functions: their last bit differs from one mathematical
library to the next, and a formula must give the same bits in Python and in DuckDB.
"""

import ast
import math
from collections.abc import Mapping

import attrs

from engine.config import nearest_name

MAX_LENGTH = 1_000
MAX_DEPTH = 16

DOUBLE, STRING, BOOL = "double", "string", "bool"

_ARITHMETIC = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARISON = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_FUNCTIONS = ("abs", "coalesce", "max", "min")
_GRAMMAR = (
    "numbers, texts, True, False, feature names, + - * /, comparisons, and, or, not, "
    "'a if c else b', coalesce(), min(), max(), abs()"
)


class ExpressionError(ValueError):
    """A formula cannot be used. `found` quotes the part at fault."""

    def __init__(self, found: str, allowed: str, nearest: str | None = None) -> None:
        super().__init__(f"found {found}; allowed: {allowed}")
        self.found = found
        self.allowed = allowed
        self.nearest = nearest


@attrs.frozen
class Literal:
    """A constant."""

    value: float | str | bool
    type: str


@attrs.frozen
class Reference:
    """Another feature's value, numbers as floats."""

    name: str
    type: str


@attrs.frozen
class Operation:
    """An operator or a function of `operands`, all of which are computed.

    `operator` is one of `+ - * /` (two operands), `neg`, `abs`, `not` (one), `== != < <= > >=`,
    `min`, `max` (two), `and`, `or`, `coalesce` (two or more), `if` (test, then, else).
    """

    operator: str
    operands: tuple["Node", ...]
    type: str


Node = Literal | Reference | Operation


def parse_expression(text: str, types: Mapping[str, str]) -> Node:
    """Read and type-check a formula.

    Args:
      text: the formula.
      types: every name that may be used, with its value type (int64, double, string, bool).
    Raises:
      ExpressionError: it does not fit the grammar, names something unknown, or mixes types.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"{len(text)} characters", f"at most {MAX_LENGTH}")
    return _Reader(types).read(_parse(text).body, 1)


def find_references(text: str) -> tuple[str, ...]:
    """Return the names a formula refers to, each once; types are not checked.

    Raises:
      ExpressionError: it is not an expression at all.
    """
    functions: set[ast.expr] = set()
    names: dict[str, None] = {}
    for part in ast.walk(_parse(text)):
        if isinstance(part, ast.Call):
            functions.add(part.func)
        elif isinstance(part, ast.Name) and part not in functions:
            names[part.id] = None
    return tuple(names)


def _parse(text: str) -> ast.Expression:
    try:
        return ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise ExpressionError(f"{text!r} ({error.msg})", _GRAMMAR) from None
    except (ValueError, MemoryError, RecursionError):
        raise ExpressionError(f"{text[:60]!r}", _GRAMMAR) from None


class _Reader:
    """Turns Python's syntax tree into ours, checking every part."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self._types = types

    def read(self, part: ast.expr, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise ExpressionError(f"nesting deeper than {MAX_DEPTH}", "a flatter formula, or two")
        match part:
            case ast.Constant():
                return self._literal(part)
            case ast.Name(id=name):
                return self._reference(name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._operation("neg", DOUBLE, DOUBLE, (operand,), depth)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self._operation("not", BOOL, BOOL, (operand,), depth)
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _ARITHMETIC:
                symbol = _ARITHMETIC[type(operator)]
                return self._operation(symbol, DOUBLE, DOUBLE, (left, right), depth)
            case ast.BoolOp(op=operator, values=values):
                symbol = "and" if isinstance(operator, ast.And) else "or"
                return self._operation(symbol, BOOL, BOOL, tuple(values), depth)
            case ast.Compare():
                return self._comparison(part, depth)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._conditional(test, body, orelse, depth)
            case ast.Call():
                return self._call(part, depth)
            case _:
                raise ExpressionError(ast.unparse(part), _GRAMMAR)

    def _literal(self, part: ast.Constant) -> Literal:
        match part.value:
            case bool() as truth:
                return Literal(truth, BOOL)
            case str() as text if text.isprintable():
                return Literal(text, STRING)
            case int() | float() as number:
                try:
                    as_float = float(number)
                except OverflowError:
                    as_float = math.inf
                if math.isfinite(as_float):
                    return Literal(as_float, DOUBLE)
        raise ExpressionError(ast.unparse(part), "finite numbers, printable texts, True, False")

    def _reference(self, name: str) -> Reference:
        if name not in self._types:
            names = list(self._types)
            raise ExpressionError(
                f"the unknown feature {name!r}",
                "names of other features",
                nearest_name(name, names),
            )
        declared = self._types[name]
        return Reference(name, DOUBLE if declared == "int64" else declared)

    def _comparison(self, part: ast.Compare, depth: int) -> Node:
        if len(part.ops) != 1 or type(part.ops[0]) not in _COMPARISON:
            raise ExpressionError(ast.unparse(part), "one of == != < <= > >= between two values")
        symbol = _COMPARISON[type(part.ops[0])]
        left, right = self._same(part, (part.left, part.comparators[0]), depth)
        if left.type != DOUBLE and symbol not in ("==", "!="):
            raise ExpressionError(
                ast.unparse(part), f"== and != between values of type {left.type}"
            )
        return Operation(symbol, (left, right), BOOL)

    def _conditional(self, test: ast.expr, body: ast.expr, orelse: ast.expr, depth: int) -> Node:
        condition = self._of_type(test, BOOL, depth)
        then, otherwise = self._same(body, (body, orelse), depth)
        return Operation("if", (condition, then, otherwise), then.type)

    def _call(self, part: ast.Call, depth: int) -> Node:
        name = part.func.id if isinstance(part.func, ast.Name) else ast.unparse(part.func)
        if name not in _FUNCTIONS:
            raise ExpressionError(
                f"the unknown function {name!r}",
                ", ".join(_FUNCTIONS),
                nearest_name(name, list(_FUNCTIONS)),
            )
        if part.keywords or any(isinstance(argument, ast.Starred) for argument in part.args):
            raise ExpressionError(ast.unparse(part), "plain arguments")
        arguments = tuple(part.args)
        if name == "coalesce":
            if len(arguments) < 2:
                raise ExpressionError(ast.unparse(part), "coalesce() of two or more values")
            operands = self._same(part, arguments, depth)
            return Operation(name, operands, operands[0].type)
        needed = 1 if name == "abs" else 2
        if len(arguments) != needed:
            raise ExpressionError(ast.unparse(part), f"{name}() of {needed} number(s)")
        return self._operation(name, DOUBLE, DOUBLE, arguments, depth)

    def _operation(
        self, operator: str, takes: str, gives: str, parts: tuple[ast.expr, ...], depth: int
    ) -> Operation:
        return Operation(
            operator, tuple(self._of_type(part, takes, depth) for part in parts), gives
        )

    def _of_type(self, part: ast.expr, wanted: str, depth: int) -> Node:
        node = self.read(part, depth + 1)
        if node.type != wanted:
            raise ExpressionError(
                f"{ast.unparse(part)!r} of type {node.type}", f"type {wanted} here"
            )
        return node

    def _same(self, whole: ast.expr, parts: tuple[ast.expr, ...], depth: int) -> tuple[Node, ...]:
        nodes = tuple(self.read(part, depth + 1) for part in parts)
        types = {node.type for node in nodes}
        if len(types) > 1:
            raise ExpressionError(
                f"{ast.unparse(whole)!r} with types {', '.join(sorted(types))}", "one type"
            )
        return nodes

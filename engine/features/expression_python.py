"""Formulas as Python: a tree of closures over the values of the features they name.

None stands for MISSING. It propagates through everything but `coalesce`, and an arithmetic result
that is not finite becomes it.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence

from engine.features.expression import Literal, Node, Operation, Reference
from engine.features.values import Value

Evaluate = Callable[[Sequence[Value | None]], Value | None]

_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_STRICT: Mapping[str, Callable[..., Value]] = {
    "neg": operator.neg,
    "abs": abs,
    "not": operator.not_,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "min": min,
    "max": max,
    "and": lambda *truths: all(truths),
    "or": lambda *truths: any(truths),
}


def compile_python(node: Node, slots: Mapping[str, int]) -> Evaluate:
    """Return a function that computes the formula.

    Args:
      node: the formula.
      slots: where each feature it names stands in the sequence the function is given.
    """
    evaluate = _compile(node, slots)
    if node.type != "double":
        return evaluate

    def without_negative_zero(values: Sequence[Value | None]) -> Value | None:
        result = evaluate(values)
        return None if result is None else result + 0.0  # type: ignore[operator]

    return without_negative_zero


def _compile(node: Node, slots: Mapping[str, int]) -> Evaluate:
    match node:
        case Literal(value=value):
            return lambda values: value
        case Reference(name=name, type="double"):
            return _number(slots[name])
        case Reference(name=name):
            return operator.itemgetter(slots[name])
        case Operation(operator=symbol, operands=operands):
            compiled = [_compile(operand, slots) for operand in operands]
            if symbol in _ARITHMETIC:
                return _arithmetic(_ARITHMETIC[symbol], *compiled)
            if symbol == "coalesce":
                return _coalesce(compiled)
            if symbol == "if":
                return _conditional(*compiled)
            return _strict(_STRICT[symbol], compiled)


def _number(slot: int) -> Evaluate:
    def number(values: Sequence[Value | None]) -> Value | None:
        value = values[slot]
        return None if value is None else float(value)

    return number


def _arithmetic(
    compute: Callable[[float, float], float], left: Evaluate, right: Evaluate
) -> Evaluate:
    def arithmetic(values: Sequence[Value | None]) -> Value | None:
        a, b = left(values), right(values)
        if a is None or b is None:
            return None
        try:
            result = compute(a, b)  # type: ignore[arg-type]
        except ZeroDivisionError:
            return None
        return result if math.isfinite(result) else None

    return arithmetic


def _strict(compute: Callable[..., Value], operands: Sequence[Evaluate]) -> Evaluate:
    def strict(values: Sequence[Value | None]) -> Value | None:
        arguments = [operand(values) for operand in operands]
        return None if None in arguments else compute(*arguments)

    return strict


def _coalesce(operands: Sequence[Evaluate]) -> Evaluate:
    def coalesce(values: Sequence[Value | None]) -> Value | None:
        for operand in operands:
            result = operand(values)
            if result is not None:
                return result
        return None

    return coalesce


def _conditional(test: Evaluate, then: Evaluate, otherwise: Evaluate) -> Evaluate:
    def conditional(values: Sequence[Value | None]) -> Value | None:
        truth = test(values)
        if truth is None:
            return None
        return then(values) if truth else otherwise(values)

    return conditional

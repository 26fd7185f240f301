"""Awaiting a coroutine while noticing whether it ever really suspends."""

import contextvars
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


@types.coroutine
def await_noticing_suspension(
    coroutine: Coroutine[Any, Any, T],
    context: contextvars.Context,
    on_suspend: Callable[[], None],
) -> Generator[Any, Any, T]:
    """Await `coroutine`, calling `on_suspend` before its first suspension reaches Trio.

    What the coroutine does until then happens in the current task, as with a plain `await`: its
    cancel scopes and nurseries belong to this task, so it must also end in it. Only its context
    variables are its own from the start; `on_suspend` makes `context` the task's.
    """
    try:
        trap = context.run(coroutine.send, None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    on_suspend()
    # The rest is what `yield from` would do, had the coroutine not been started yet. No variable
    # may name Trio's answer: it can hold an exception, whose traceback will hold this frame.
    answers: list[Any] = []
    try:
        while True:
            try:
                answers.append((yield trap))
            except BaseException as error:  # noqa: BLE001 - Trio throws what the coroutine caused
                trap = coroutine.throw(error)
            else:
                trap = coroutine.send(answers.pop())
    except StopIteration as stop:
        result = stop.value
        return result

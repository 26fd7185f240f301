"""What is done from the Console goes the way of every other caller."""

import json
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from engine.console.actions import ACTIONS
from engine.errors import FailedPreconditionError
from engine.learning.alias_moves import AliasMoves


class OneModel:
    """A registry whose champion is version 2."""

    def __init__(self) -> None:
        self.moved: list[tuple[str, str, int | None, object, str]] = []

    def check_alias(self, name: str, alias: str, version: int | None, expected: object) -> int:
        return 2

    async def set_alias(
        self,
        name: str,
        alias: str,
        version: int | None,
        *,
        expected: int | Literal["any"] | None,
        reason: str,
    ) -> int:
        self.moved.append((name, alias, version, expected, reason))
        return 2


class NothingLoads:
    """Workers that cannot load any version but 3."""

    async def preload(self, model: str, version: int, within_s: float) -> None:
        if version != 3:
            raise FailedPreconditionError("its artifact is not what was registered")


def promote(models: Any, version: int) -> Any:
    parts: Any = SimpleNamespace(aliases=AliasMoves(models, NothingLoads()))
    body = json.dumps({"model": "buys", "version": version, "expected": 2}).encode()
    return ACTIONS["set-champion"](parts, body)


async def test_a_version_that_cannot_answer_is_not_made_champion() -> None:
    models = OneModel()
    with pytest.raises(FailedPreconditionError, match="not what was registered"):
        await promote(models, 4)
    assert models.moved == []


async def test_one_that_can_is_if_the_champion_is_still_the_one_that_was_shown() -> None:
    models = OneModel()
    await promote(models, 3)
    assert models.moved == [("buys", "champion", 3, 2, "from the Console")]

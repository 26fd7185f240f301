"""Champions whose predictions turn out badly give way, over a real data file."""

from pathlib import Path

import attrs
import pytest

from engine.clock import read_clock_us
from engine.config import ModelSpec, PolicySpec
from engine.errors import FailedPreconditionError, UnavailableError
from engine.features.horizon import Horizon
from engine.learning.alias_moves import AliasMoves
from engine.learning.live_quality import LiveQuality
from engine.services import ModelService
from proto.trellis.v1 import models_pb2 as pb
from tests.integration.learning.loop_world import (
    FEATURES,
    MODEL,
    SECOND,
    UNLABELLED,
    Loop,
    PlayedLoader,
    metric,
    open_loop,
)

ROLLED = attrs.evolve(MODEL, policy=PolicySpec(roll_back_below=0.5, least_outcomes=4))


def quality_of(
    loop: Loop, model: ModelSpec = ROLLED, loader: PlayedLoader | None = None
) -> LiveQuality:
    declared = {"buyer": model, "list": UNLABELLED}
    aliases = AliasMoves(loop.models, loader or PlayedLoader())
    store = loop.store
    return LiveQuality(declared, FEATURES, loop.models, aliases, store.reader, store.writer)


async def add_outcomes(loop: Loop, version: int, *, good: bool, made_us: int | None = None) -> None:
    """Predict for four users at 100 s, of whom two buy, and let the time pass."""
    await loop.add_events(
        (1, "buy", 101), (2, "buy", 105), (3, "buy", 106), (4, "view", 104), (9, "view", 200)
    )
    scores = {1: 0.9, 2: 0.8, 3: 0.2, 4: 0.1}
    await loop.add_predictions(
        version,
        [(user, 100, score if good else 1 - score) for user, score in scores.items()],
        read_clock_us() if made_us is None else made_us,
    )


async def test_quality_is_told_beside_that_of_the_training(tmp_path: Path) -> None:
    async with open_loop(tmp_path, ROLLED) as loop:
        await loop.add_events((1, "view", 10))
        await loop.train()
        await add_outcomes(loop, 2, good=True)
        service = ModelService(
            loop.models, AliasMoves(loop.models, PlayedLoader()), quality_of(loop)
        )
        request = pb.GetQualityRequest(model="buyer")
        reply = await service.GetQuality(request)
        assert (reply.model_version, reply.predictions, reply.outcomes) == (2, 4, 4)
        assert {m.name: m.value for m in reply.metrics}["roc_auc"] == 1.0
        assert [(m.name, m.value) for m in reply.trained_metrics] == [("roc_auc", 0.7)]
        request.since.FromMicroseconds(read_clock_us() + SECOND)
        assert (await service.GetQuality(request)).predictions == 0


@pytest.mark.parametrize("good", [True, False])
async def test_a_champion_past_the_bound_gives_its_place_back(tmp_path: Path, good: bool) -> None:
    async with open_loop(tmp_path, ROLLED) as loop:
        await loop.add_events((1, "view", 10))
        await loop.train()
        await loop.train(metrics=metric(0.9), champion_metrics=metric(0.7))
        assert loop.models.get("buyer").version == 3
        await add_outcomes(loop, 3, good=good)
        taken_over = await quality_of(loop).roll_back_if_worse(ROLLED)
        assert taken_over == (None if good else 2)
        assert loop.models.get("buyer").version == (3 if good else 2)


async def test_a_champion_that_took_over_by_rollback_is_not_rolled_forward(tmp_path: Path) -> None:
    async with open_loop(tmp_path, ROLLED) as loop:
        await loop.add_events((1, "view", 10))
        await loop.train()
        await loop.train(metrics=metric(0.9), champion_metrics=metric(0.7))
        await loop.models.set_alias("buyer", "champion", 2)
        await add_outcomes(loop, 2, good=False)
        assert await quality_of(loop).roll_back_if_worse(ROLLED) is None
        assert loop.models.get("buyer").version == 2


async def test_champions_that_fail_one_after_the_other_give_way_to_each_one_before(
    tmp_path: Path,
) -> None:
    async with open_loop(tmp_path, ROLLED) as loop:
        await loop.add_events((1, "view", 10))
        await loop.train()
        await loop.train(metrics=metric(0.8), champion_metrics=metric(0.7))
        await loop.train(metrics=metric(0.9), champion_metrics=metric(0.8))
        for version, taken_over in ((4, 3), (3, 2), (2, None)):
            assert loop.models.get("buyer").version == version
            await add_outcomes(loop, version, good=False)
            assert await quality_of(loop).roll_back_if_worse(ROLLED) == taken_over


async def test_whom_a_person_makes_champion_again_is_judged_by_what_it_predicts_from_then_on(
    tmp_path: Path,
) -> None:
    async with open_loop(tmp_path, ROLLED) as loop:
        await loop.add_events((1, "view", 10))
        await loop.train()
        await loop.train(metrics=metric(0.9), champion_metrics=metric(0.7))
        await add_outcomes(loop, 3, good=False)
        assert await quality_of(loop).roll_back_if_worse(ROLLED) == 2
        await loop.models.set_alias("buyer", "champion", 3)
        assert await quality_of(loop).roll_back_if_worse(ROLLED) is None
        await add_outcomes(loop, 3, good=False)
        assert await quality_of(loop).roll_back_if_worse(ROLLED) == 2


async def test_a_version_before_that_cannot_answer_does_not_take_over(tmp_path: Path) -> None:
    async with open_loop(tmp_path, ROLLED) as loop:
        await loop.add_events((1, "view", 10))
        await loop.train()
        await loop.train(metrics=metric(0.9), champion_metrics=metric(0.7))
        await add_outcomes(loop, 3, good=False)
        loader = PlayedLoader(v2=UnavailableError("its artifact is gone", 1))
        with pytest.raises(FailedPreconditionError, match="its artifact is gone"):
            await quality_of(loop, loader=loader).roll_back_if_worse(ROLLED)
        assert loop.models.get("buyer").version == 3


async def test_without_a_bound_nothing_is_rolled_back(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events((1, "view", 10))
        await loop.train()
        await add_outcomes(loop, 2, good=False)
        assert await quality_of(loop, MODEL).roll_back_if_worse(MODEL) is None


async def test_predictions_whose_outcomes_have_moved_are_not_measured(tmp_path: Path) -> None:
    async with open_loop(tmp_path, ROLLED) as loop:
        await loop.add_events((1, "view", 10))
        await loop.train()
        await add_outcomes(loop, 2, good=True)
        store, declared = loop.store, {"buyer": ROLLED}
        aliases = AliasMoves(loop.models, PlayedLoader())

        async def count_outcomes(horizon: Horizon) -> int:
            quality = LiveQuality(
                declared, FEATURES, loop.models, aliases, store.reader, store.writer, horizon
            )
            return (await quality.measure("buyer")).quality.outcomes

        assert await count_outcomes(Horizon()) == 4
        assert await count_outcomes(Horizon(100 * SECOND, 1)) == 4
        assert await count_outcomes(Horizon(100 * SECOND + 1, 1)) == 0

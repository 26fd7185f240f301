"""Has a version ready to answer before anybody asks it."""

import trio

from engine.errors import UnavailableError
from engine.serving.artifacts import Artifacts
from engine.serving.predictor import Predictor
from engine.serving.scoring import Scoring

_RETRY_AFTER_S = 1.0


class VersionLoading:
    """Loads versions. Used from the Trio thread."""

    def __init__(self, predictor: Predictor, scoring: Scoring, artifacts: Artifacts) -> None:
        self._predictor = predictor
        self._scoring = scoring
        self._artifacts = artifacts

    async def preload(self, model: str, version: int, within_s: float) -> None:
        """Have the workers that score load a trained version.

        Where none scores, it is only looked whether the artifact is there, and is the one that was
        registered.

        Raises:
          NotFoundError, FailedPreconditionError: as `Predictor.plan`.
          DataLossError: the artifact is not what was registered, or not to be trusted.
          UnavailableError: it cannot be had, or no worker has loaded it in time.
        """
        plan = self._predictor.plan(model, version)
        if self._scoring.workers:
            await self._scoring.preload(plan.rows, within_s)
            return
        assert plan.version.trained is not None
        with trio.move_on_after(within_s) as scope:
            async for _ in self._artifacts.read(plan.version.trained.pipeline):
                pass
        if scope.cancelled_caught:
            raise UnavailableError(
                f"the artifact of {model}/{version} cannot be read within {within_s:g} s",
                _RETRY_AFTER_S,
            )

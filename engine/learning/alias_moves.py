"""Which version answers, moved by a person or by what came of predictions."""

from typing import Final, Literal, Protocol

from engine import tracing
from engine.errors import FailedPreconditionError, TrellisError
from engine.models import CHAMPION, ModelRegistry

_LOAD_WITHIN_S: Final = 8.0
"""Callers wait for it; the command line for ten seconds."""


class VersionLoader(Protocol):
    """Has scoring workers load versions; `engine.serving.loading.VersionLoading` does."""

    async def preload(self, model: str, version: int, within_s: float) -> None:
        """Have a trained version loaded by whoever scores; raise if that cannot be."""


class AliasMoves:
    """Moves aliases. Used from the Trio thread."""

    def __init__(self, models: ModelRegistry, loader: VersionLoader) -> None:
        self._models = models
        self._loader = loader

    async def set_alias(
        self,
        name: str,
        alias: str,
        version: int | None,
        *,
        expected: int | Literal["any"] | None = "any",
        reason: str = "by call",
    ) -> int | None:
        """Point an alias to a version, or take it away, as `ModelRegistry.set_alias`.

        A version that is to be champion is loaded by the workers that score before it is, so that
        the first who ask it neither wait for that nor learn that it cannot be had. What changes
        meanwhile counts: `expected` is looked at again.

        Raises:
          FailedPreconditionError: as `ModelRegistry.set_alias`, or no worker can load the version,
            or none has within eight seconds; the alias stays where it is.
          Others: as `ModelRegistry.set_alias`.
        Cancellation: a checkpoint before the alias is moved; then nothing is changed.
        """
        before = self._models.check_alias(name, alias, version, expected)
        with tracing.start("move alias") as span:
            span.set("trellis.model", name)
            span.set("trellis.model.alias", alias)
            span.set("trellis.model.version", version or 0)
            span.set("trellis.reason", reason)
            if alias == CHAMPION and version is not None and version != before:
                try:
                    await self._loader.preload(name, version, _LOAD_WITHIN_S)
                except TrellisError as error:
                    raise FailedPreconditionError(
                        f"version {version} of {name!r} cannot answer, so it is not made champion: "
                        f"{error}"
                    ) from error
            return await self._models.set_alias(
                name, alias, version, expected=expected, reason=reason
            )

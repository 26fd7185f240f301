"""Versions whose features are not defined any more as they were when they were trained."""

import logging

from engine.features.views import FeatureSet
from engine.models import Model, ModelRegistry, ModelVersion

logger = logging.getLogger(__name__)


def fits(version: ModelVersion, features: FeatureSet) -> bool:
    """Return whether a version was trained on features that are there, as they are defined now."""
    return (
        version.trained is not None
        and not features.find_undefined(version.features)
        and not features.find_redefined(version.trained.definitions)
    )


def is_outdated(model: Model, features: FeatureSet) -> bool:
    """Return whether a model's champion cannot answer now, and no other version of it could."""
    if model.champion is None or fits(model.champion, features):
        return False
    return not any(fits(one, features) for one in reversed(model.versions))


def report_redefined(models: ModelRegistry, features: FeatureSet) -> None:
    """Log a warning for each champion that cannot answer with the features as they are defined."""
    for model in models.list():
        trained = None if model.champion is None else model.champion.trained
        redefined = [] if trained is None else features.find_redefined(trained.definitions)
        if redefined:
            logger.warning(
                "champion was trained on other definitions",
                extra={"model": model.name, "redefined": redefined},
            )

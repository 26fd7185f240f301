"""Champions whose features are not defined any more as they were when they were trained."""

import logging

from engine.features.views import FeatureSet
from engine.models import ModelRegistry

logger = logging.getLogger(__name__)


def report_redefined(models: ModelRegistry, features: FeatureSet) -> None:
    """Log a warning for each champion that cannot answer with the features as they are defined."""
    for model in models.list():
        trained = None if model.champion is None else model.champion.trained
        redefined = [] if trained is None else features.find_redefined(trained.definitions)
        if redefined:
            logger.warning(
                "champion was trained on other definitions; train the model again",
                extra={"model": model.name, "redefined": redefined},
            )

"""Predictions over real features and models; nobody scores unless a test does."""

from engine.features import FeatureStore
from engine.models import ModelRegistry
from engine.services import PredictionCalls
from engine.serving.explaining import Explainer
from engine.serving.plans import Plans
from engine.serving.prediction_log import PredictionLog
from engine.serving.predictor import Predictor
from engine.serving.scoring import Scoring
from engine.serving.settings import ServingSettings
from engine.store import Store


def make_calls(store: Store, features: FeatureStore, models: ModelRegistry) -> PredictionCalls:
    """Return the calls that predict."""
    log = PredictionLog(store.writer)
    scoring = Scoring(ServingSettings(timeout_s=0.1))
    predictor = Predictor(models, features, Plans(features.feature_set), scoring, log, {})
    return PredictionCalls(predictor, Explainer(models, features, store.reader, log))

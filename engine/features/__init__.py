"""Features: one definition each, the same value live and in history, to the last bit."""

from engine.features.compilation import compile_feature_set
from engine.features.online import Decline, OnlineStore
from engine.features.serving import FeatureStore
from engine.features.source import HistoryReader
from engine.features.values import (
    FeatureRow,
    FeatureValue,
    Status,
    Value,
)
from engine.features.views import FeatureSet

__all__ = [
    "Decline",
    "FeatureRow",
    "FeatureSet",
    "FeatureStore",
    "FeatureValue",
    "HistoryReader",
    "OnlineStore",
    "Status",
    "Value",
    "compile_feature_set",
]

"""Synthetic shop traffic, and the replay of recorded events."""

from engine.generator.delivery import Send
from engine.generator.run import run_generator
from engine.generator.settings import GeneratorSettings
from engine.generator.stats import GeneratorStats

__all__ = ["GeneratorSettings", "GeneratorStats", "Send", "run_generator"]

"""What a training makes and scoring runs: one file with a scikit-learn pipeline and its signature.

The file is that of skops, a zip archive without compression, with a `signature.json` in addition,
so that `skops.io.load` reads it as well. The same pipeline gives the same bytes. Nothing in it is
ever unpickled: it is made of the classes of a list, and refused if it names another.
"""

from engine.tasks.artifacts.file import dump_pipeline, load_pipeline
from engine.tasks.artifacts.model import Predictions, TrainedModel
from engine.tasks.artifacts.refusals import ArtifactRefusedError
from engine.tasks.artifacts.signature import Signature

__all__ = [
    "ArtifactRefusedError",
    "Predictions",
    "Signature",
    "TrainedModel",
    "dump_pipeline",
    "load_pipeline",
]

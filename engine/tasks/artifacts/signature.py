"""What a pipeline takes and gives, in a file beside it."""

from typing import Final

import msgspec
import numpy
import pandas
import scipy
import sklearn
import skops

from engine.tasks.artifacts.refusals import MALFORMED, OTHER_LIBRARY, ArtifactRefusedError
from engine.tasks.frames import TYPES

_FORMAT: Final = 1

LIBRARIES: Final = {
    module.__name__: str(module.__version__) for module in (sklearn, numpy, scipy, pandas, skops)
}
"""The versions installed here, by name."""


class Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model is asked with and what it answers.

    `features` are in the order of its input vector, `types` theirs. `classes` are those of a
    classifier, in the order of its probabilities; a number has none.
    """

    model: str
    features: tuple[str, ...]
    types: dict[str, str]
    task: str
    classes: tuple[bool | str, ...] | None
    libraries: dict[str, str] = msgspec.field(default_factory=lambda: dict(LIBRARIES))
    format: int = _FORMAT


def encode_signature(signature: Signature) -> bytes:
    """Return the file's bytes; the same for the same signature."""
    return msgspec.json.encode(signature, order="deterministic")


def decode_signature(content: bytes) -> Signature:
    """Return the signature.

    Raises:
      ArtifactRefusedError: it is broken, of another format, or its pipeline was made with a
        scikit-learn that differs in more than its patch level, which promises nothing about it.
    """
    try:
        signature = msgspec.json.decode(content, type=Signature)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ArtifactRefusedError(MALFORMED, f"its signature cannot be read: {error}") from None
    if signature.format != _FORMAT:
        raise ArtifactRefusedError(MALFORMED, f"its format is {signature.format}, not {_FORMAT}")
    if set(signature.types) != set(signature.features) or not signature.features:
        raise ArtifactRefusedError(MALFORMED, "its signature does not say the types of features")
    if not set(signature.types.values()) <= set(TYPES):
        raise ArtifactRefusedError(MALFORMED, "its signature names types that no feature has")
    made_with = signature.libraries.get("sklearn", "")
    if _minor(made_with) != _minor(LIBRARIES["sklearn"]):
        raise ArtifactRefusedError(
            OTHER_LIBRARY,
            f"it was made with scikit-learn {made_with[:20]!r}, here is {LIBRARIES['sklearn']}; "
            "train the model again",
        )
    return signature


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]

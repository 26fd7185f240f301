"""Pipelines to bytes and back."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import skops.io
from sklearn.pipeline import Pipeline

from engine.tasks.artifacts.audit import audit, iterate_objects
from engine.tasks.artifacts.container import (
    SCHEMA,
    SIGNATURE,
    check_size,
    read_members,
    write_members,
)
from engine.tasks.artifacts.model import TrainedModel
from engine.tasks.artifacts.refusals import MALFORMED, TAMPERED, ArtifactRefusedError
from engine.tasks.artifacts.signature import Signature, decode_signature, encode_signature
from engine.tasks.artifacts.soundness import check_pipeline
from engine.tasks.artifacts.trusted import TRUSTED_TYPES


def dump_pipeline(pipeline: Pipeline, signature: Signature) -> bytes:
    """Return the artifact; the same bytes for the same pipeline and signature.

    Raises:
      ArtifactRefusedError: it is too large, or holds what would be refused on loading.
    """
    written = skops.io.dumps(pipeline)
    check_size(len(written))
    members = {SIGNATURE: encode_signature(signature), **_canonical(written)}
    audit(members)
    return write_members(members)


def load_pipeline(content: bytes, sha256: str | None = None) -> TrainedModel:
    """Return the model of an artifact.

    Its bytes are verified before they are parsed, its types and sizes before objects are made, and
    the objects before they are used.

    Args:
      sha256: what it was registered with, hexadecimal; None if the caller has verified it.
    Raises:
      ArtifactRefusedError: it is not what was registered, or not to be trusted.
    """
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise ArtifactRefusedError(TAMPERED, "its bytes are not those that were registered")
    members = read_members(content)
    signature = decode_signature(members[SIGNATURE])
    audit(members)
    del members
    try:
        pipeline = skops.io.loads(content, trusted=TRUSTED_TYPES)
        check_pipeline(pipeline, signature)
        model = TrainedModel(pipeline, signature)
        _try_out(model)
    except ArtifactRefusedError:
        raise
    except Exception as error:
        # Types are right, contents are not: whatever their constructors make of it.
        raise ArtifactRefusedError(
            MALFORMED, f"no model comes of it: {type(error).__name__}: {str(error)[:200]}"
        ) from error
    return model


def _try_out(model: TrainedModel) -> None:
    """Predict for one row in which everything is missing: the parts fit together."""
    model.predict(pa.table({name: pa.nulls(1) for name in model.signature.features}))


def _canonical(written: bytes) -> Mapping[str, bytes]:
    """Return the members of a skops file without what differs from one process to the next.

    skops names objects by their addresses; here they are numbered in the order of the schema.
    """
    members = {}
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        schema = json.loads(archive.read(SCHEMA))
        numbers: dict[int, int] = {}
        names: dict[str, str] = {}
        for entry in iterate_objects(schema):
            if "__id__" in entry:
                entry["__id__"] = numbers.setdefault(entry["__id__"], len(numbers) + 1)
            file = entry.get("file")
            if isinstance(file, str):
                name = names.setdefault(file, f"{len(names)}.npy")
                entry["file"] = name
                if name not in members:
                    members[name] = _without_padding(archive.read(file))
    compact = json.dumps(schema, separators=(",", ":"))
    return {SCHEMA: compact.encode(), **members}


def _without_padding(content: bytes) -> bytes:
    """Return an array's file with zeros between the fields of its records, for any memory there."""
    array: np.ndarray[Any, Any] = np.load(io.BytesIO(content), allow_pickle=False)
    if array.dtype.names is None:
        return content
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    sink = io.BytesIO()
    np.save(sink, clean, allow_pickle=False)
    return sink.getvalue()

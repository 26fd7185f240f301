"""Tensors of the Open Inference Protocol as columns of values, and back. Pure.

They come typed, in a field of their message, or raw, as bytes beside it: numbers little-endian,
texts each with its length before it. What was asked raw is answered raw.
"""

import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import attrs
import numpy as np

from engine.errors import InvalidArgumentError
from proto.inference import open_inference_grpc_pb2 as pb

_LENGTH: Final = struct.Struct("<I")


@attrs.frozen
class _Kind:
    """A datatype: the field of typed contents, and how it lies in raw ones."""

    field: str
    dtype: str


_KINDS: Final[Mapping[str, _Kind]] = MappingProxyType(
    {
        "BOOL": _Kind("bool_contents", "?"),
        "INT32": _Kind("int_contents", "<i4"),
        "INT64": _Kind("int64_contents", "<i8"),
        "FP32": _Kind("fp32_contents", "<f4"),
        "FP64": _Kind("fp64_contents", "<f8"),
    }
)
_TEXT: Final = "BYTES"
DATATYPES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "int64": ("INT64", "INT32"),
        "double": ("FP64", "FP32"),
        "bool": ("BOOL",),
        "string": (_TEXT,),
    }
)
"""What may come for a feature of a type, the one that metadata names first."""


@attrs.frozen
class Output:
    """A tensor to be sent; `values` are those of all its rows, one row after the other."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Sequence[Any]


def read_inputs(request: pb.ModelInferRequest, most_rows: int) -> dict[str, tuple[str, list[Any]]]:
    """Return datatype and values of each input tensor; all have the same number of rows.

    Raises:
      InvalidArgumentError: names the tensor and what is wrong with it.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidArgumentError(
            "raw_input_contents", f"{len(raw)} of them for {len(request.inputs)} inputs"
        )
    read: dict[str, tuple[str, list[Any]]] = {}
    for place, tensor in enumerate(request.inputs):
        name = tensor.name[:80]
        if name in read:
            raise InvalidArgumentError("inputs", f"{name!r} is there twice")
        rows = _read_rows(tensor, most_rows)
        values = (
            _read_raw(name, tensor.datatype, raw[place])
            if raw
            else _read_typed(name, tensor.datatype, tensor.contents)
        )
        if len(values) != rows:
            raise InvalidArgumentError(
                "inputs", f"{name!r} has {len(values)} values, its shape says {rows}"
            )
        read[tensor.name] = (tensor.datatype, values)
    if len({len(values) for _, values in read.values()}) != 1:
        raise InvalidArgumentError("inputs", "one tensor at least, all with the same rows")
    return read


def write_outputs(response: pb.ModelInferResponse, outputs: Sequence[Output], *, raw: bool) -> None:
    """Add tensors to a response."""
    for output in outputs:
        tensor = response.outputs.add(
            name=output.name, datatype=output.datatype, shape=output.shape
        )
        if output.datatype == _TEXT:
            texts = [value.encode() for value in output.values]
            if raw:
                response.raw_output_contents.append(
                    b"".join(_LENGTH.pack(len(text)) + text for text in texts)
                )
            else:
                tensor.contents.bytes_contents.extend(texts)
            continue
        kind = _KINDS[output.datatype]
        if raw:
            response.raw_output_contents.append(np.array(output.values, kind.dtype).tobytes())
        else:
            getattr(tensor.contents, kind.field).extend(output.values)


def _read_rows(tensor: pb.ModelInferRequest.InferInputTensor, most_rows: int) -> int:
    """Return the rows of a tensor of shape [rows] or [rows, 1]."""
    shape = tuple(tensor.shape)
    if shape[1:] not in ((), (1,)) or not shape or not 1 <= shape[0] <= most_rows:
        raise InvalidArgumentError(
            "inputs",
            f"{tensor.name[:80]!r} has the shape {list(shape)}; [rows] or [rows, 1] is needed, "
            f"with 1 to {most_rows} rows",
        )
    return shape[0]


def _read_typed(name: str, datatype: str, contents: pb.InferTensorContents) -> list[Any]:
    if datatype == _TEXT:
        return [_decode(name, text) for text in contents.bytes_contents]
    return list(getattr(contents, _kind(name, datatype).field))


def _read_raw(name: str, datatype: str, content: bytes) -> list[Any]:
    if datatype == _TEXT:
        return _read_texts(name, content)
    kind = _kind(name, datatype)
    try:
        return list(np.frombuffer(content, kind.dtype).tolist())
    except ValueError:
        raise InvalidArgumentError(
            "raw_input_contents", f"{name!r}: {len(content)} bytes are no {datatype}"
        ) from None


def _read_texts(name: str, content: bytes) -> list[Any]:
    texts, at = [], 0
    while at < len(content):
        end = at + _LENGTH.size
        if end > len(content):
            break
        (length,) = _LENGTH.unpack(content[at:end])
        at = end + length
        texts.append(_decode(name, content[end:at]))
    if at != len(content):
        raise InvalidArgumentError("raw_input_contents", f"{name!r} ends within a text")
    return texts


def _kind(name: str, datatype: str) -> _Kind:
    kind = _KINDS.get(datatype)
    if kind is None:
        raise InvalidArgumentError(
            "inputs",
            f"{name!r} is of datatype {datatype[:20]!r}; known: {', '.join([*_KINDS, _TEXT])}",
        )
    return kind


def _decode(name: str, text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise InvalidArgumentError("inputs", f"{name!r} holds a text that is not UTF-8") from None

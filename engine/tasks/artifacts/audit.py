"""What is looked at in an artifact before skops makes objects of it."""

import io
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import numpy as np

from engine.tasks.artifacts.container import SCHEMA
from engine.tasks.artifacts.refusals import MALFORMED, UNTRUSTED, ArtifactRefusedError
from engine.tasks.artifacts.trusted import TRUSTED

PROTOCOL: Final = 2
"""Of the files of skops. It chooses among its readers, and only the newest are looked at here."""

_SCHEMA_BYTES: Final = 32 << 20
_CONTAINERS: Final = 600_000
"""Of lists and objects in the schema, about 250 bytes of memory each. A forest of a thousand trees
has a tenth of it."""
_ARRAY_MAGIC: Final = b"\x93NUMPY\x01\x00"
_HEADER_BYTES: Final = 10_000  # what numpy itself takes


def audit(members: Mapping[str, bytes]) -> None:
    """Refuse an artifact that is not made of trusted types, sound arrays and nothing else.

    Raises:
      ArtifactRefusedError: names the type or the member at fault.
    """
    schema = _read_schema(members[SCHEMA])
    if not isinstance(schema, dict) or schema.get("protocol") != PROTOCOL:
        raise ArtifactRefusedError(MALFORMED, f"its schema is not of skops protocol {PROTOCOL}")
    arrays = {name: content for name, content in members.items() if name.endswith(".npy")}
    for name, content in arrays.items():
        _check_array(name, content)
    referred = set()
    for entry in iterate_objects(schema):
        _check_entry(entry)
        file = entry.get("file")
        if isinstance(file, str):
            referred.add(file)
    if referred != arrays.keys():
        raise ArtifactRefusedError(MALFORMED, "its arrays are not those that its schema names")


def iterate_objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a JSON document, each before those in it, in their order."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(reversed(value.values()))
        elif isinstance(value, list):
            waiting.extend(reversed(value))


def _read_schema(content: bytes) -> Any:
    if len(content) > _SCHEMA_BYTES:
        raise ArtifactRefusedError(MALFORMED, "its schema is too long")
    # Counted in the bytes, since parsing is what would take the memory.
    if content.count(b"{") + content.count(b"[") > _CONTAINERS:
        raise ArtifactRefusedError(MALFORMED, "its schema has too many parts")
    try:
        return msgspec.json.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ArtifactRefusedError(MALFORMED, f"its schema cannot be read: {error}") from None


def _check_entry(entry: Mapping[str, Any]) -> None:
    """Refuse what skops might take for a node, unless its type is trusted."""
    if "__loader__" not in entry and "__class__" not in entry and "__module__" not in entry:
        return
    loader, module, name = (entry.get(f"__{part}__") for part in ("loader", "module", "class"))
    if not (isinstance(loader, str) and isinstance(module, str) and isinstance(name, str)):
        raise ArtifactRefusedError(MALFORMED, "its schema has a part without a type")
    if f"{module}.{name}" not in TRUSTED.get(loader, frozenset()):
        shown = ascii(f"{module}.{name}")[1:-1][:200]
        raise ArtifactRefusedError(
            UNTRUSTED, f"it holds {shown} ({ascii(loader)[1:-1][:40]}), which is not trusted"
        )
    if loader == "TreeNode":
        _check_tree_arguments(entry)


def _check_tree_arguments(entry: Mapping[str, Any]) -> None:
    """Hold the arguments of a tree's constructor to what it reads without looking: one output."""
    match entry.get("__reduce__"):
        case {"args": {"content": [{"content": str()}, {"file": str()}, {"content": "1"}]}}:
            return
        case _:
            raise ArtifactRefusedError(MALFORMED, "it holds a tree of another kind than ours")


def _check_array(name: str, content: bytes) -> None:
    """Refuse an array whose header promises other than its bytes, or objects."""
    if not content.startswith(_ARRAY_MAGIC):
        raise ArtifactRefusedError(MALFORMED, f"{name} is no array of ours")
    file = io.BytesIO(content)
    file.seek(len(_ARRAY_MAGIC))
    try:
        shape, _, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_HEADER_BYTES)
    except Exception as error:  # noqa: BLE001 - numpy reads headers with Python's own parser
        raise ArtifactRefusedError(MALFORMED, f"{name} is no array: {error}") from None
    if dtype.hasobject or any(length < 0 for length in shape):
        raise ArtifactRefusedError(UNTRUSTED, f"{name} holds Python objects")
    if file.tell() + math.prod(shape) * dtype.itemsize != len(content):
        raise ArtifactRefusedError(MALFORMED, f"{name} is of another size than it says")

"""Plain values to frozen classes, by cattrs, with every mismatch of a tree in one go.

cattrs dispatches on the annotations; the hook for classes is ours, because a message needs the
file's key (not the attribute's name), the names that would have been right, and all mismatches
with their paths.
"""

import collections.abc
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

import attrs
from cattrs import Converter

from engine.config.kinds import Kind
from engine.config.mismatch import MismatchError, show
from engine.config.problems import Problem, nearest_name
from engine.config.yaml_text import REFUSED, KeyPath, render_path

Structured = TypeVar("Structured")


@attrs.frozen
class Mismatch:
    """A value at `path` below the structured tree that is not what it should be."""

    path: KeyPath
    found: str
    allowed: str
    candidates: tuple[str, ...] = ()
    # The word that was written instead of one of the candidates.
    written: str | None = None
    # Keys beside `path` that it is also about.
    also: tuple[str, ...] = ()
    # Reported already, by the YAML reader; here only so that the value counts as unfit.
    reported: bool = False

    def below(self, part: str | int) -> "Mismatch":
        """Return the same mismatch as seen from one level up."""
        return attrs.evolve(self, path=(part, *self.path))

    @property
    def nearest(self) -> str | None:
        """The candidate that was probably meant."""
        return nearest_name(self.written, self.candidates) if self.written else None

    def to_problem(self, file: str, lines: Mapping[KeyPath, int], prefix: KeyPath = ()) -> Problem:
        """Return the message, with the line of the nearest key that is in the file."""
        path = (*prefix, *self.path)
        line = find_line(path, lines)
        return Problem(file, render_path(path), self.found, self.allowed, self.nearest, line)


_ALREADY_REPORTED = Mismatch((), "a refused value", "", reported=True)


class StructureError(ValueError):
    """A tree does not fit its class; holds every mismatch."""

    def __init__(self, mismatches: list[Mismatch]) -> None:
        super().__init__(f"{len(mismatches)} mismatches")
        self.mismatches = mismatches


def to_problems(
    mismatches: Iterable[Mismatch], file: str, lines: Mapping[KeyPath, int], prefix: KeyPath = ()
) -> list[Problem]:
    """Return the messages for those mismatches that have none yet."""
    return [
        mismatch.to_problem(file, lines, prefix) for mismatch in mismatches if not mismatch.reported
    ]


def find_line(path: KeyPath, lines: Mapping[KeyPath, int]) -> int | None:
    """Return the line of `path`, or of the closest key above it that has one."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


def kind_of(annotation: Any) -> Kind | None:
    """Return the kind in `Annotated[..., kind]`, looking through `| None`."""
    inner = _without_none(annotation)
    if typing.get_origin(inner) is not Annotated:
        return None
    for extra in inner.__metadata__:
        if hasattr(extra, "parse"):
            kind: Kind = extra
            return kind
    return None


def is_optional(annotation: Any) -> bool:
    """Return whether the annotation allows None."""
    return _without_none(annotation) is not annotation


def yaml_key(field: "attrs.Attribute[Any]") -> str:
    """Return the name under which a field stands in its file."""
    return str(field.metadata.get("key", field.name))


def structure(raw: Any, annotation: Any) -> Any:
    """Return `raw` as the annotated type.

    Raises:
      StructureError: with the path of everything that does not fit.
    """
    if raw is REFUSED:
        raise StructureError([_ALREADY_REPORTED])
    try:
        return _CONVERTER.structure(raw, annotation)
    except MismatchError as error:
        raise StructureError([_at_root(error, raw)]) from None


def structure_class(
    raw: Any, cls: type[Structured], given: Mapping[str, Any] | None = None
) -> Structured:
    """Return `raw`, a mapping, as an instance of the attrs class.

    Args:
      raw: what the file holds.
      cls: an attrs class whose annotations hold kinds.
      given: attributes that do not come from `raw`, such as the name a definition stands under.
    Raises:
      StructureError: with every unknown, missing and unfit key.
    """
    given = given or {}
    if raw is REFUSED:
        raise StructureError([_ALREADY_REPORTED])
    if not isinstance(raw, dict):
        raise StructureError([Mismatch((), show(raw), "a mapping")])
    fields = {yaml_key(f): f for f in attrs.fields(cls) if f.name not in given}  # type: ignore[arg-type]
    mismatches = [_unknown_key(key, tuple(fields)) for key in raw if key not in fields]
    values = dict(given)
    for key, field in fields.items():
        if key not in raw:
            if field.default is attrs.NOTHING:
                mismatches.append(Mismatch((key,), "nothing", _describe(field.type)))
            continue
        try:
            values[field.name] = structure(raw[key], field.type)
        except StructureError as error:
            mismatches += [mismatch.below(key) for mismatch in error.mismatches]
    if mismatches:
        raise StructureError(mismatches)
    return cls(**values)


def _unknown_key(key: str, known: tuple[str, ...]) -> Mismatch:
    return Mismatch((key,), "an unknown key", ", ".join(known), known, key)


def _describe(annotation: Any) -> str:
    kind = kind_of(annotation)
    if kind is not None:
        return kind.allowed
    return "a list" if typing.get_origin(annotation) is tuple else "a mapping"


def _at_root(error: MismatchError, raw: Any) -> Mismatch:
    written = raw if isinstance(raw, str) and error.candidates else None
    return Mismatch((), error.found, error.allowed, error.candidates, written)


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        options = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
        if len(options) == 1:
            return options[0]
    return annotation


def _origin(annotation: Any) -> Any:
    return typing.get_origin(annotation)


def _structure_kind(raw: Any, annotation: Any) -> Any:
    if raw is None and is_optional(annotation):
        return None
    kind = kind_of(annotation)
    assert kind is not None
    if _holds_refused(raw):
        raise StructureError([_ALREADY_REPORTED])
    return kind.parse(raw)


def _holds_refused(raw: Any) -> bool:
    if isinstance(raw, dict):
        return any(_holds_refused(item) for item in raw.values())
    if isinstance(raw, list):
        return any(_holds_refused(item) for item in raw)
    return raw is REFUSED


def _structure_tuple(raw: Any, annotation: Any) -> tuple[Any, ...]:
    if not isinstance(raw, list):
        raise MismatchError(show(raw), "a list")
    item_type = typing.get_args(annotation)[0]
    items, mismatches = [], []
    for index, item in enumerate(raw):
        try:
            items.append(structure(item, item_type))
        except StructureError as error:
            mismatches += [mismatch.below(index) for mismatch in error.mismatches]
    if mismatches:
        raise StructureError(mismatches)
    return tuple(items)


def _structure_mapping(raw: Any, annotation: Any) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise MismatchError(show(raw), "a mapping")
    key_type, value_type = typing.get_args(annotation)
    items, mismatches = {}, []
    for key, value in raw.items():
        try:
            items[structure(key, key_type)] = structure(value, value_type)
        except StructureError as error:
            mismatches += [mismatch.below(key) for mismatch in error.mismatches]
    if mismatches:
        raise StructureError(mismatches)
    return items


def _make_converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook_func(attrs.has, structure_class)
    converter.register_structure_hook_func(
        lambda annotation: _origin(annotation) is tuple, _structure_tuple
    )
    converter.register_structure_hook_func(
        lambda annotation: _origin(annotation) is collections.abc.Mapping, _structure_mapping
    )
    # Last, because cattrs asks the latest hook first.
    converter.register_structure_hook_func(
        lambda annotation: kind_of(annotation) is not None, _structure_kind
    )
    return converter


_CONVERTER = _make_converter()

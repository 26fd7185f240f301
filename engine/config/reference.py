"""The reference page, rendered from the classes: `python -m engine.config.reference`.

It writes the page to standard output; a test proves that `docs/configuration.md` is current.
"""

import datetime
import inspect
import sys
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from engine.config.definitions import EntitySpec, FeatureSpec, ModelSpec, UploadSpec
from engine.config.quantities import Duration, Size, WholeSeconds
from engine.config.sections import AppSettings
from engine.config.settings import ENV_FILE_NAMES, SETTINGS, Setting
from engine.config.structure import kind_of, yaml_key
from engine.config.units import format_duration, format_size

_HEAD = """\
# Configuration

<!-- Rendered from engine/config: python -m engine.config.reference > docs/configuration.md -->

Trellis reads one folder (`configs`, or `--config DIR`): `app.yaml`, `features.yaml`, `models.yaml`
and, where they are there, `azure.env`, `duckdb.env`, `redis.env` and `kafka.env`. A setting takes
its value from the last of these that has one:

1. its default,
2. `app.yaml`,
3. the env file that has a name for it (table below),
4. the environment: the same name, then `TRELLIS_SECTION__KEY`, such as
   `TRELLIS_SHUTDOWN__GRACE_S=30s`,
5. `--set section.key=value`, and `--data DIR` for `paths.data`.

Values from the environment and from `--set` are read as YAML where no text is wanted. The word
`null` (in `app.yaml` without quotes) takes a value away where none is needed, and so does
`--set section.key=`; an empty variable or env line is not set.

`python main.py check-config` shows every effective value and where it came from. Anything that
does not fit (an unknown key, a value out of range, a reference to nothing, a file that cannot be
read) is reported, all of it at once, and the exit code is 2.

YAML is used plainly: no anchors, aliases or tags, each key once, one document a file. Text that
YAML reads as something else (`no`, `2024-01-01`) goes in quotes.

Secrets are never shown: not in logs, not by `check-config`, not in a message about them. Set them
in the environment or in an env file that is kept out of version control.

Traces are turned on by OpenTelemetry's own variables, which are in no file: see
[traces](traces.md).

Durations are written `500ms`, `90s`, `5m`, `24h`, `30d`; keys that end in `_s` also take a plain
number of seconds. Sizes are written `64KiB`, `256MB`, `1GiB` or as a plain number of bytes.
"""

_FEATURES = """\
## features.yaml

Three sections: `entities`, `uploads` and `features`, each a mapping from names to definitions. A
feature comes from events (`aggregate` is needed), from an uploaded dataset (`column` is needed), or
from other features by an `expression`.
"""

_MODELS = """\
## models.yaml

One section, `models`, a mapping from names to definitions.
"""


def render_reference() -> str:
    """Return the page as Markdown."""
    parts = [_HEAD, "## app.yaml\n", *(_section(field) for field in attrs.fields(AppSettings))]
    parts += [_environment_names(), _FEATURES]
    parts += [_definition(name, cls) for name, cls in _DEFINITIONS]
    parts += [_MODELS, _definition("models", ModelSpec)]
    parts += [
        _definition(f"models.{field.name}", cls, level="####")
        for field in attrs.fields(ModelSpec)
        if (cls := _class_of(field.type)) is not None
    ]
    return "\n".join(parts)


_DEFINITIONS: tuple[tuple[str, type[attrs.AttrsInstance]], ...] = (
    ("entities", EntitySpec),
    ("uploads", UploadSpec),
    ("features", FeatureSpec),
)


def _section(field: "attrs.Attribute[Any]") -> str:
    assert field.type is not None
    rows = [
        (f"`{setting.name}`", _default(setting), _allowed(setting.annotation), setting.meaning)
        for setting in SETTINGS.values()
        if setting.section == field.name
    ]
    table = _table(("key", "default", "allowed", "meaning"), rows)
    classes = (
        _definition(f"{field.name}.{setting.name}", item, level="####")
        for setting in SETTINGS.values()
        if setting.section == field.name and (item := _class_of_items(setting.annotation))
    )
    return "\n".join((f"### {field.name}\n\n{_paragraph(field.type)}\n\n{table}", *classes))


def _class_of(annotation: Any) -> type[attrs.AttrsInstance] | None:
    """Return the class of a value that is a mapping with keys of its own."""
    for candidate in (annotation, *typing.get_args(annotation)):
        if isinstance(candidate, type) and attrs.has(candidate):
            return candidate
    return None


def _class_of_items(annotation: Any) -> type[attrs.AttrsInstance] | None:
    """Return the class of a mapping's items, if they are of one."""
    items = typing.get_args(annotation)[1:]
    if typing.get_origin(annotation) is Mapping and attrs.has(items[0]):
        return items[0]
    return None


def _definition(name: str, cls: type[attrs.AttrsInstance], level: str = "###") -> str:
    rows = [
        (
            f"`{yaml_key(field)}`",
            "needed" if field.default is attrs.NOTHING else _default_of(field),
            _allowed(field.type),
            field.metadata["meaning"],
        )
        for field in attrs.fields(cls)
        if field.name != "name"
    ]
    table = _table(("key", "default", "allowed", "meaning"), rows)
    return f"{level} {name}\n\n{_paragraph(cls)}\n\n{table}"


def _environment_names() -> str:
    rows = [
        (f"`{file}`", f"`{name}`", f"`{key}`")
        for file, names in ENV_FILE_NAMES.items()
        for name, key in names.items()
    ]
    return f"## Env files\n\n{_table(('file', 'name', 'sets'), rows)}"


def _paragraph(cls: type) -> str:
    """Return the first paragraph of the class's docstring."""
    return inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0]


def _allowed(annotation: Any) -> str:
    kind = kind_of(annotation)
    if kind is not None:
        return kind.allowed
    if _class_of(annotation) is not None:
        return "a mapping, keys below"
    item = typing.get_args(annotation)
    if typing.get_origin(annotation) is tuple:
        return f"a list; each: {_allowed(item[0])}"
    if attrs.has(item[1]):
        return "a mapping to definitions"
    return f"a mapping to: {_allowed(item[1])}"


def _default_of(field: "attrs.Attribute[Any]") -> str:
    if _class_of(field.type) is not None and field.default is not None:
        return "defaults below"
    if isinstance(kind_of(field.type), WholeSeconds) and field.default is not None:
        return f"`{format_duration(field.default)}`"
    return _shown(field.default)


def _default(setting: Setting) -> str:
    if isinstance(setting.kind, Duration):
        return f"`{format_duration(setting.default)}`"
    if isinstance(setting.kind, Size):
        return f"`{format_size(setting.default)}`"
    return _shown(setting.default)


def _shown(value: Any) -> str:
    if value is None or value == "" or (isinstance(value, Mapping | tuple) and not value):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, datetime.datetime):
        return f"`{value.isoformat().replace('+00:00', 'Z')}`"
    if isinstance(value, Path):
        return f"`{value.as_posix()}`"
    return f"`{value}`"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *(tuple(map(_cell, row)) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


if __name__ == "__main__":
    sys.stdout.write(render_reference())

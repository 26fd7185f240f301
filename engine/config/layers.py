"""Layers of settings: each source is read and checked by itself, then the later ones win."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from engine.config.files import APP_FILE, ENV_FILES, read_text
from engine.config.mismatch import show
from engine.config.problems import Problem, nearest_name
from engine.config.sections import AppSettings
from engine.config.settings import ENV_FILE_NAMES, ENVIRONMENT_PREFIX, SETTINGS, Setting
from engine.config.structure import (
    StructureError,
    find_line,
    structure,
    structure_class,
    to_problems,
)
from engine.config.yaml_text import REFUSED, Document, KeyPath, parse_yaml

ENVIRONMENT = "environment"
SET_OPTION = "--set"
DATA_OPTION = "--data"

_NONE = "null"
_ENV_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
_DOTTED = re.compile(r"[A-Za-z0-9_.-]{1,200}")


@attrs.frozen
class Place:
    """Where a value is written: the source, the key as it is spelt there, and the line."""

    file: str
    key: str
    origin: str
    line: int | None = None


@attrs.frozen
class Assignment:
    """An accepted value of one setting, still as written."""

    key: str
    # May be a secret that has not been wrapped yet.
    raw: Any = attrs.field(repr=False)
    place: Place


@attrs.define
class Layer:
    """What one source says: accepted assignments, problems, and the settings it got wrong."""

    assignments: list[Assignment] = attrs.field(factory=list)
    problems: list[Problem] = attrs.field(factory=list)
    refused: set[str] = attrs.field(factory=set)

    def assign(self, setting: Setting, raw: Any, place: Place) -> None:
        """Check one value and keep it, or note what is wrong under the key the person wrote."""
        try:
            structure(raw, setting.annotation)
        except StructureError as error:
            self.refused.add(setting.key)
            lines: dict[KeyPath, int] = {} if place.line is None else {(place.key,): place.line}
            self.problems += to_problems(error.mismatches, place.file, lines, (place.key,))
        else:
            self.assignments.append(Assignment(setting.key, raw, place))

    def assign_text(self, setting: Setting, text: str, place: Place) -> None:
        """Check a value that came as text: the value itself where text is wanted, else YAML.

        The word `null` is none for every setting that may be without a value, as it is in YAML.
        """
        raw: Any = text
        if setting.optional and text == _NONE:
            raw = None
        elif setting.kind is None or not setting.kind.reads_text:
            document = _parse_value(text)
            if document is None:
                self.refused.add(setting.key)
                found, allowed = "text that is no YAML value", "a YAML value"
                self.problems.append(
                    Problem(place.file, place.key, found, allowed, line=place.line)
                )
                return
            raw = document.value
        self.assign(setting, raw, place)


def read_app_file(config_dir: Path) -> Layer:
    """Read and check `app.yaml`."""
    document, problems = read_document(config_dir / APP_FILE)
    layer = Layer(problems=problems)
    if document is None:
        return layer
    # `kafka:` with every key below it commented out is an empty section, not a wrong one.
    tree = {
        section: {} if keys is None and section in attrs.fields_dict(AppSettings) else keys
        for section, keys in document.value.items()
    }
    try:
        structure_class(tree, AppSettings)
    except StructureError as error:
        layer.problems += to_problems(error.mismatches, APP_FILE, document.lines)
        layer.refused |= {".".join(map(str, mismatch.path[:2])) for mismatch in error.mismatches}
    for section, keys in tree.items():
        for name, raw in keys.items() if isinstance(keys, dict) else ():
            key = f"{section}.{name}"
            if key in SETTINGS and key not in layer.refused:
                line = find_line((section, name), document.lines)
                place = Place(APP_FILE, key, APP_FILE, line)
                layer.assignments.append(Assignment(key, raw, place))
    return layer


def read_env_file(path: Path) -> Layer:
    """Read and check one env file; an absent one is an empty one. No value is ever quoted."""
    layer = Layer()
    if not path.exists() and not path.is_symlink():
        return layer
    text, layer.problems = read_text(path)
    names = ENV_FILE_NAMES[path.name]
    first_lines: dict[str, int] = {}
    for line, content in enumerate((text or "").split("\n"), start=1):
        stripped = content.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, value, fault = _split_env_line(stripped)
        if fault is not None:
            problem = Problem(path.name, name, fault, "KEY=VALUE, a comment or a blank line")
            layer.problems.append(attrs.evolve(problem, line=line))
        elif name not in names:
            layer.problems.append(_unknown_name(path.name, name, tuple(names), line))
        elif name in first_lines:
            found = f"the key a second time (first on line {first_lines[name]})"
            layer.problems.append(Problem(path.name, name, found, "each key once", line=line))
        else:
            first_lines[name] = line
            if value:
                place = Place(path.name, name, path.name, line)
                layer.assign_text(SETTINGS[names[name]], value, place)
    return layer


def read_environment(environ: Mapping[str, str]) -> Layer:
    """Check the process environment: the env files' names, then `TRELLIS_SECTION__KEY`."""
    layer = Layer()
    generic = {setting.environment_name: setting for setting in SETTINGS.values()}
    shared = {
        name: SETTINGS[key] for names in ENV_FILE_NAMES.values() for name, key in names.items()
    }
    for name, setting in (shared | generic).items():
        if environ.get(name):
            place = Place(ENVIRONMENT, name, f"{ENVIRONMENT} {name}")
            layer.assign_text(setting, environ[name], place)
    for name in sorted(environ):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in generic:
            allowed = "TRELLIS_SECTION__KEY with a section and key of app.yaml"
            known = tuple(known.removeprefix(ENVIRONMENT_PREFIX) for known in generic)
            close = nearest_name(name.removeprefix(ENVIRONMENT_PREFIX), known)
            nearest = None if close is None else ENVIRONMENT_PREFIX + close
            found = "a variable that sets nothing"
            layer.problems.append(Problem(ENVIRONMENT, name, found, allowed, nearest))
    return layer


def read_overrides(overrides: Sequence[str]) -> Layer:
    """Check the `--set section.key=value` arguments. A fault never quotes what follows the `=`."""
    layer = Layer()
    for position, override in enumerate(overrides, start=1):
        key, equals, value = override.partition("=")
        if not equals or not _DOTTED.fullmatch(key):
            found = f"argument {position} of another form"
            layer.problems.append(Problem(SET_OPTION, "", found, "section.key=value"))
        elif key not in SETTINGS:
            nearest = nearest_name(key, tuple(SETTINGS))
            allowed = "section.key of app.yaml"
            layer.problems.append(Problem(SET_OPTION, key, "an unknown key", allowed, nearest))
        elif value:
            layer.assign_text(SETTINGS[key], value, Place(SET_OPTION, key, SET_OPTION))
        else:
            layer.assign(SETTINGS[key], None, Place(SET_OPTION, key, SET_OPTION))
    return layer


def read_data_option(data_dir: Path | None) -> Layer:
    """Return the layer of `--data DIR`."""
    layer = Layer()
    if data_dir is not None:
        place = Place(DATA_OPTION, "paths.data", DATA_OPTION)
        layer.assign(SETTINGS["paths.data"], str(data_dir), place)
    return layer


def read_layers(
    config_dir: Path,
    data_dir: Path | None,
    overrides: Sequence[str],
    environ: Mapping[str, str],
) -> list[Layer]:
    """Return every source of settings, the weakest first."""
    return [
        read_app_file(config_dir),
        *(read_env_file(config_dir / name) for name in ENV_FILES),
        read_environment(environ),
        read_overrides(overrides),
        read_data_option(data_dir),
    ]


def read_document(path: Path) -> tuple[Document | None, list[Problem]]:
    """Read a YAML file that holds a mapping; an empty one is refused, since it hides a mishap."""
    text, problems = read_text(path)
    if text is None:
        return None, problems
    document, problems = parse_yaml(text, path.name)
    if document is not None and document.value is REFUSED:
        return None, problems
    if document is not None and not isinstance(document.value, dict):
        found = "an empty file" if document.value is None else show(document.value)
        problems.append(Problem(path.name, "", found, "a mapping, {} at least"))
        document = None
    return document, problems


def _split_env_line(line: str) -> tuple[str, str, str | None]:
    """Return name, value and None, or what is wrong, with the name where it is certainly one."""
    name, equals, value = line.partition("=")
    name, value = name.strip(), value.strip()
    if not equals or not _ENV_NAME.fullmatch(name):
        return "", "", "a line of another form"
    if value[:1] in {'"', "'"}:
        if len(value) < 2 or value[-1] != value[0]:
            return "", "", "a value whose quote is not closed"
        return name, value[1:-1], None
    if " #" in value:
        # Some readers cut such a value at the sign, others keep it; a password would suffer.
        return "", "", "a value followed by what may be a comment"
    return name, value, None


def _unknown_name(file: str, name: str, known: tuple[str, ...], line: int) -> Problem:
    nearest = nearest_name(name, known)
    # The second line of a broken secret can look like KEY=VALUE; only what resembles one of our
    # names is repeated.
    shown = name if nearest else ""
    return Problem(file, shown, "an unknown key", ", ".join(known), nearest, line)


def _parse_value(text: str) -> Document | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    document, problems = parse_yaml(text, "")
    return None if problems else document

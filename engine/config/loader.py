"""One call from files, environment and command line to the effective configuration."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from engine.config.app_rules import find_broken_rules
from engine.config.definition_files import (
    FeatureDefinitions,
    add_line,
    load_features,
    load_models,
)
from engine.config.definitions import FeaturesFile
from engine.config.effective import EngineConfig
from engine.config.files import APP_FILE, ENV_FILES, FEATURES_FILE, MODELS_FILE, find_stray_files
from engine.config.findings import Finding
from engine.config.layers import (
    DATA_OPTION,
    ENVIRONMENT,
    SET_OPTION,
    Assignment,
    Layer,
    read_layers,
)
from engine.config.problems import ConfigError, Problem
from engine.config.sections import AppSettings
from engine.config.settings import SETTINGS
from engine.config.structure import structure_class

DEFAULT_ORIGIN = "default"

_FILE_ORDER = (
    APP_FILE,
    *ENV_FILES,
    ENVIRONMENT,
    SET_OPTION,
    DATA_OPTION,
    FEATURES_FILE,
    MODELS_FILE,
)
_NAME = re.compile(r"[a-z][a-z0-9_]*")

Check = Callable[[EngineConfig], Sequence[Problem]]


def load_config(
    config_dir: Path,
    data_dir: Path | None,
    overrides: Sequence[str],
    environ: Mapping[str, str],
    extra_checks: Sequence[Check] = (),
) -> EngineConfig:
    """Read, check and merge the configuration.

    A later source wins: defaults, `app.yaml`, the env files, the environment, `--set`, `--data`.

    Args:
      config_dir: the folder with `app.yaml`, `features.yaml`, `models.yaml` and the env files.
      data_dir: the `--data` option; replaces `paths.data`.
      overrides: the `--set` options, `section.key=value` each, the value in YAML.
      environ: the process environment.
      extra_checks: checks of what only higher layers understand, such as expressions. They see
        every definition that is sound so far, and their problems are reported with the rest.
    Raises:
      ConfigError: with everything that is wrong, in the order of files and lines.
    """
    layers = read_layers(config_dir, data_dir, overrides, environ)
    problems = [*find_stray_files(config_dir), *(p for layer in layers for p in layer.problems)]
    settings, problems_together, origins = _merge(layers)
    definitions = load_features(config_dir)
    models, model_problems = load_models(config_dir, definitions)
    problems += [*problems_together, *definitions.problems, *model_problems]
    config = EngineConfig(
        **{section.name: getattr(settings, section.name) for section in attrs.fields(AppSettings)},
        features=_without_dependents(definitions),
        models=models,
        origins=origins,
    )
    for check in extra_checks:
        problems += [add_line(problem, definitions.lines) for problem in check(config)]
    if problems:
        raise ConfigError(sorted(problems, key=_file_order))
    return config


def _merge(layers: Sequence[Layer]) -> tuple[AppSettings, list[Problem], dict[str, str]]:
    """Return the effective settings, the rules they break together, and where each came from."""
    effective: dict[str, Assignment] = {}
    for layer in layers:
        effective |= {assignment.key: assignment for assignment in layer.assignments}
    tree: dict[str, dict[str, Any]] = {}
    for assignment in effective.values():
        section, name = assignment.key.split(".")
        tree.setdefault(section, {})[name] = assignment.raw
    settings = _anchor_paths(structure_class(tree, AppSettings))
    refused = {key for layer in layers for key in layer.refused}
    problems = [
        _to_problem(finding, effective)
        for finding in find_broken_rules(settings)
        # A value that was refused has fallen back to another; no rule is judged on that.
        if not any(key in refused or key.split(".")[0] in refused for key in finding.keys)
    ]
    origins = {
        key: effective[key].place.origin if key in effective else DEFAULT_ORIGIN for key in SETTINGS
    }
    return settings, problems, origins


def _anchor_paths(settings: AppSettings) -> AppSettings:
    """Take the data folder from the working directory, now and for good, the others from it."""
    paths = settings.paths
    data = Path.cwd() / paths.data
    anchored = attrs.evolve(
        paths, data=data, model_cache=data / paths.model_cache, blobs=data / paths.blobs
    )
    return attrs.evolve(settings, paths=anchored)


def _to_problem(finding: Finding, effective: Mapping[str, Assignment]) -> Problem:
    key = finding.keys[0]
    # The person to tell is whoever wrote something, not the default beside it.
    written = next((effective[key] for key in finding.keys if key in effective), None)
    if written is None:
        return Problem(APP_FILE, key, finding.found, finding.allowed)
    place = written.place
    return Problem(place.file, key, finding.found, finding.allowed, line=place.line)


def _without_dependents(definitions: FeatureDefinitions) -> FeaturesFile:
    """Leave out expressions over features that are faulty, so that no check calls these unknown."""
    features = dict(definitions.file.features)
    missing = set(definitions.named or ()) - features.keys()
    while missing:
        dependents = {
            name
            for name, feature in features.items()
            if feature.expression and missing.intersection(_NAME.findall(feature.expression))
        }
        for name in dependents:
            del features[name]
        missing = dependents
    return attrs.evolve(definitions.file, features=features)


def _file_order(problem: Problem) -> tuple[int, int]:
    rank = _FILE_ORDER.index(problem.file) if problem.file in _FILE_ORDER else len(_FILE_ORDER)
    # A file as a whole comes before its lines, what has no line after them.
    line = problem.line if problem.line is not None else (2**31 if problem.key else 0)
    return rank, line

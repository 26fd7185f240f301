"""Reading `features.yaml` and `models.yaml`: every sound definition, and all that is wrong."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, TypeVar

import attrs

from engine.config.definitions import (
    EntitySpec,
    FeaturesFile,
    FeatureSpec,
    ModelsFile,
    ModelSpec,
    UploadSpec,
)
from engine.config.feature_rules import check_feature, check_upload
from engine.config.files import FEATURES_FILE, MODELS_FILE
from engine.config.layers import read_document
from engine.config.mismatch import show
from engine.config.model_rules import check_model
from engine.config.problems import Problem
from engine.config.setting_fields import Identifier
from engine.config.structure import (
    Mismatch,
    StructureError,
    find_line,
    structure,
    structure_class,
    to_problems,
)
from engine.config.yaml_text import REFUSED, Document, KeyPath

_FEATURES_SECTIONS = ("entities", "uploads", "features")
_MODELS_SECTIONS = ("models",)

Spec = TypeVar("Spec", bound=attrs.AttrsInstance)


@attrs.frozen
class FeatureDefinitions:
    """What `features.yaml` gave.

    `named` holds every feature's name, sound or not; None when the file could not be read at all.
    """

    file: FeaturesFile
    named: frozenset[str] | None
    problems: Sequence[Problem]
    lines: Mapping[KeyPath, int]


def load_features(config_dir: Path) -> FeatureDefinitions:
    """Read `features.yaml`, keeping the definitions that are sound."""
    document, problems = read_document(config_dir / FEATURES_FILE)
    if document is None:
        return FeatureDefinitions(FeaturesFile(), None, problems, {})
    # A reference to something that is there but faulty is not reported a second time.
    entity_names, upload_names = _names(document, "entities"), _names(document, "uploads")
    mismatches = _check_sections(document, _FEATURES_SECTIONS, ("entities", "features"))
    entities = _read_section(document, "entities", EntitySpec, lambda _: (), mismatches)
    uploads = _read_section(
        document, "uploads", UploadSpec, lambda spec: check_upload(spec, entity_names), mismatches
    )
    features = _read_section(
        document,
        "features",
        FeatureSpec,
        lambda spec: check_feature(spec, entities, entity_names, uploads, upload_names),
        mismatches,
    )
    problems += to_problems(mismatches, FEATURES_FILE, document.lines)
    file = FeaturesFile(entities, uploads, _with_declared_types(features, uploads))
    return FeatureDefinitions(file, _names(document, "features"), problems, document.lines)


def load_models(config_dir: Path, features: FeatureDefinitions) -> tuple[ModelsFile, list[Problem]]:
    """Read `models.yaml`, keeping the definitions that are sound, and check what they refer to."""
    document, problems = read_document(config_dir / MODELS_FILE)
    if document is None:
        return ModelsFile(), problems
    mismatches = _check_sections(document, _MODELS_SECTIONS, _MODELS_SECTIONS)
    models = _read_section(
        document,
        "models",
        ModelSpec,
        lambda spec: check_model(spec, features.file, features.named),
        mismatches,
    )
    problems += to_problems(mismatches, MODELS_FILE, document.lines)
    return ModelsFile(models), problems


def add_line(problem: Problem, lines: Mapping[KeyPath, int]) -> Problem:
    """Return the problem with the line its dotted key stands on, where it has none yet."""
    if problem.line is not None or not problem.key:
        return problem
    return attrs.evolve(problem, line=find_line(tuple(problem.key.split(".")), lines))


def _check_sections(
    document: Document, sections: tuple[str, ...], required: tuple[str, ...]
) -> list[Mismatch]:
    unknown = [key for key in document.value if key not in sections]
    missing = [section for section in required if section not in document.value]
    return [
        *(Mismatch((k,), "an unknown key", ", ".join(sections), sections, k) for k in unknown),
        *(Mismatch((section,), "nothing", "a mapping") for section in missing),
    ]


def _read_section(
    document: Document,
    section: str,
    spec: type[Spec],
    check: Callable[[Spec], Iterable[Mismatch]],
    mismatches: list[Mismatch],
) -> dict[str, Spec]:
    """Return the sound definitions of a section; add to `mismatches` what is wrong in others."""
    entries = document.value.get(section)
    if entries is None or entries is REFUSED:
        return {}
    if not isinstance(entries, dict):
        mismatches.append(Mismatch((section,), show(entries), "a mapping"))
        return {}
    sound = {}
    for name, raw in entries.items():
        definition, found = _read_definition(name, raw, spec)
        unfit = {key for fault in found for key in (*fault.path[:1], fault.nearest)}
        if definition is not None:
            # A rule about a key that is unfit anyway would be judged on its absence.
            found += [
                broken
                for broken in check(definition)
                if unfit.isdisjoint((*broken.path[:1], *broken.also))
            ]
        if not found and definition is not None:
            sound[name] = definition
        mismatches += [fault.below(name).below(section) for fault in found]
    return sound


def _read_definition(name: str, raw: Any, spec: type[Spec]) -> tuple[Spec | None, list[Mismatch]]:
    """Return a definition, without the keys that do not fit if it can be without, and these."""
    found: list[Mismatch] = []
    try:
        structure(name, Identifier)
    except StructureError as error:
        found += error.mismatches
    given = {"name": name} if "name" in attrs.fields_dict(spec) else {}
    try:
        return structure_class(raw, spec, given), found
    except StructureError as error:
        found += error.mismatches
    try:
        rest = _prune(raw, {fault.path for fault in found})
        return structure_class(rest, spec, given), found
    except StructureError:
        # A key that it cannot be without is among the unfit ones, and reported as such.
        return None, found


def _prune(raw: Any, unfit: Set[KeyPath], path: KeyPath = ()) -> Any:
    """Return the tree without the keys at the given paths."""
    if not isinstance(raw, dict):
        return raw
    return {
        key: _prune(value, unfit, (*path, key))
        for key, value in raw.items()
        if (*path, key) not in unfit
    }


def _with_declared_types(
    features: Mapping[str, FeatureSpec], uploads: Mapping[str, UploadSpec]
) -> dict[str, FeatureSpec]:
    """Fill in the type of features from uploads; leave out those whose dataset is not sound."""
    typed = {}
    for name, feature in features.items():
        if feature.upload is None or feature.column is None:
            typed[name] = feature
        elif feature.upload in uploads:
            declared = uploads[feature.upload].columns[feature.column]
            typed[name] = attrs.evolve(feature, type=declared)
    return typed


def _names(document: Document, section: str) -> frozenset[str]:
    entries = document.value.get(section)
    return frozenset(entries) if isinstance(entries, dict) else frozenset()

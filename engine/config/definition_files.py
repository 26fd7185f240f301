"""Reading `features.yaml` and `models.yaml`: every sound definition, and all that is wrong."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs

from engine.config.definitions import (
    EntitySpec,
    FeaturesFile,
    FeatureSpec,
    Identifier,
    ModelsFile,
    ModelSpec,
    UploadSpec,
)
from engine.config.feature_rules import check_feature, check_upload
from engine.config.files import FEATURES_FILE, MODELS_FILE
from engine.config.kinds import show
from engine.config.layers import read_document
from engine.config.problems import Problem
from engine.config.structure import Mismatch, StructureError, find_line, structure, structure_class
from engine.config.yaml_text import Document
from engine.config.yaml_text import Path as KeyPath

Spec = TypeVar("Spec", EntitySpec, UploadSpec, FeatureSpec, ModelSpec)


@attrs.frozen
class FeatureDefinitions:
    """What `features.yaml` gave. `named` holds every feature's name, sound or not; None when the
    file could not be read at all."""

    file: FeaturesFile
    named: frozenset[str] | None
    problems: Sequence[Problem]
    lines: Mapping[KeyPath, int]


def load_features(config_dir: Path) -> FeatureDefinitions:
    """Read `features.yaml`, keeping the definitions that are sound."""
    document, problems = read_document(config_dir / FEATURES_FILE)
    if document is None:
        return FeatureDefinitions(FeaturesFile(), None, problems, {})
    sections = ("entities", "uploads", "features")
    mismatches = _check_sections(document, sections, required=("entities", "features"))
    entities = _read_section(document, "entities", EntitySpec, mismatches)
    uploads = _read_section(document, "uploads", UploadSpec, mismatches)
    features = _read_section(document, "features", FeatureSpec, mismatches)
    # A reference to something that is there but faulty is not reported a second time.
    entity_names, upload_names = (_names(document, name) for name in ("entities", "uploads"))
    for name, upload in list(uploads.items()):
        found = [*check_upload(upload, entity_names)]
        mismatches += [_place(mismatch, "uploads", name) for mismatch in found]
        if found:
            del uploads[name]
    for name, feature in list(features.items()):
        found = [*check_feature(feature, entities, entity_names, uploads, upload_names)]
        mismatches += [_place(mismatch, "features", name) for mismatch in found]
        dataset = uploads.get(feature.upload) if feature.upload else None
        if found or (feature.upload and dataset is None):
            del features[name]
        elif dataset is not None and feature.column is not None:
            features[name] = attrs.evolve(feature, type=dataset.columns[feature.column])
    problems += [mismatch.to_problem(FEATURES_FILE, document.lines) for mismatch in mismatches]
    file = FeaturesFile(entities, uploads, features)
    return FeatureDefinitions(file, _names(document, "features"), problems, document.lines)


def load_models(config_dir: Path, features: FeatureDefinitions) -> tuple[ModelsFile, list[Problem]]:
    """Read `models.yaml`, keeping the definitions that are sound, and check what they refer to."""
    document, problems = read_document(config_dir / MODELS_FILE)
    if document is None:
        return ModelsFile(), problems
    mismatches = _check_sections(document, ("models",), required=("models",))
    models = _read_section(document, "models", ModelSpec, mismatches)
    for name, model in list(models.items()):
        found = [*_check_model(model, features)]
        mismatches += [_place(mismatch, "models", name) for mismatch in found]
        if found:
            del models[name]
    problems += [mismatch.to_problem(MODELS_FILE, document.lines) for mismatch in mismatches]
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
    document: Document, section: str, spec: type[Spec], mismatches: list[Mismatch]
) -> dict[str, Spec]:
    """Return the sound definitions of a section; add to `mismatches` what is wrong in others."""
    entries = document.value.get(section)
    if entries is None:
        return {}
    if not isinstance(entries, dict):
        mismatches.append(Mismatch((section,), show(entries), "a mapping"))
        return {}
    sound = {}
    for name, raw in entries.items():
        found = []
        try:
            structure(name, Identifier)
        except StructureError as error:
            found += error.mismatches
        given: dict[str, Any] = {"name": name} if "name" in attrs.fields_dict(spec) else {}
        try:
            definition = structure_class(raw, spec, given)
        except StructureError as error:
            found += error.mismatches
        if found:
            mismatches += [_place(mismatch, section, name) for mismatch in found]
        else:
            sound[name] = definition
    return sound


def _names(document: Document, section: str) -> frozenset[str]:
    entries = document.value.get(section)
    return frozenset(entries) if isinstance(entries, dict) else frozenset()


def _place(mismatch: Mismatch, section: str, name: str) -> Mismatch:
    return mismatch.below(name).below(section)


def _check_model(model: ModelSpec, features: FeatureDefinitions) -> list[Mismatch]:
    if features.named is None:
        return []
    mismatches = []
    entities = tuple(features.file.entities)
    if entities and model.entity not in entities:
        found = f"the unknown entity {model.entity}"
        mismatches.append(Mismatch(("entity",), found, ", ".join(entities), entities, model.entity))
    if not model.features:
        mismatches.append(Mismatch(("features",), "an empty list", "one feature at least"))
    for index, name in enumerate(model.features):
        path = ("features", index)
        feature = features.file.features.get(name)
        if name in model.features[:index]:
            mismatches.append(Mismatch(path, f"{name} a second time", "each feature once"))
        elif name not in features.named:
            known = tuple(sorted(features.named))
            allowed = f"a feature of {FEATURES_FILE}"
            mismatches.append(Mismatch(path, f"the unknown feature {name}", allowed, known, name))
        elif feature is not None and feature.entity != model.entity:
            found = f"{name}, a feature of {feature.entity}"
            mismatches.append(Mismatch(path, found, f"a feature of {model.entity}"))
    return mismatches

"""What the keys of a feature must hold together; each alone has been checked by its kind.

What an expression says is not judged here but where expressions are compiled, in
`engine.features`.
"""

from collections.abc import Iterator, Mapping, Set

from engine.config.definitions import EntitySpec, FeatureSpec, UploadSpec
from engine.config.fields import EVENT_COLUMNS, EVENTS_SOURCE
from engine.config.structure import Mismatch

# Events say whose they are in this column, so only an entity with this key can have features
# from events.
EVENTS_KEY = "user_id"

# Each entity keeps its window's tiles in memory; more of them than this is a mistake of units.
MAX_TILES = 10_000

_WITHOUT_COLUMN = ("count", "seconds_since")
_NUMERIC = ("sum", "mean", "min", "max")


def check_upload(upload: UploadSpec, entities: Set[str]) -> Iterator[Mismatch]:
    """Yield what is wrong with a dataset.

    Args:
      upload: the dataset.
      entities: the names of all entities.
    """
    yield from _check_entity(upload.entity, entities)
    if not upload.columns:
        yield Mismatch(("columns",), "nothing", "one column at least")
    if upload.time_column == upload.entity_key:
        yield Mismatch(("time_column",), "the column of entity_key", "another column")
    for name in (upload.entity_key, upload.time_column):
        if name in upload.columns:
            found = "a column that is entity_key or time_column already"
            yield Mismatch(("columns", name), found, "other columns")


def check_feature(
    feature: FeatureSpec,
    entities: Mapping[str, EntitySpec],
    entity_names: Set[str],
    uploads: Mapping[str, UploadSpec],
    upload_names: Set[str],
) -> Iterator[Mismatch]:
    """Yield what is wrong with a feature.

    Args:
      feature: the feature.
      entities: the sound entities.
      entity_names: the names of all entities, sound or not.
      uploads: the sound datasets.
      upload_names: the names of all datasets, sound or not.
    """
    yield from _check_entity(feature.entity, entity_names)
    if (feature.source is None) == (feature.expression is None):
        found = "neither of from and expression" if feature.source is None else "both of them"
        yield Mismatch((), found, "exactly one of from and expression", also=("from", "expression"))
    elif feature.expression is not None:
        yield from _check_expression(feature)
    elif feature.source == EVENTS_SOURCE:
        yield from _check_events(feature, entities)
    else:
        yield from _check_from_upload(feature, uploads, upload_names)


def _check_entity(entity: str, entities: Set[str]) -> Iterator[Mismatch]:
    if entity not in entities:
        known = tuple(sorted(entities))
        allowed = ", ".join(known) or "an entity of the section entities"
        yield Mismatch(("entity",), f"the unknown entity {entity}", allowed, known, entity)


def _check_expression(feature: FeatureSpec) -> Iterator[Mismatch]:
    keys = ("where", "aggregate", "column", "window", "tile", "ttl", "type")
    yield from _forbid(feature, keys, "an expression", "its features have them")


def _check_events(feature: FeatureSpec, entities: Mapping[str, EntitySpec]) -> Iterator[Mismatch]:
    entity = entities.get(feature.entity)
    if entity is not None and entity.key != EVENTS_KEY:
        found = f"{feature.entity}, whose key is {entity.key}"
        yield Mismatch(("entity",), found, f"an entity with the key {EVENTS_KEY}, as events have")
    yield from _forbid(feature, ("type",), "a feature from events", "the aggregate decides it")
    if feature.aggregate is None:
        yield Mismatch(("aggregate",), "nothing", "an aggregate, for a feature from events")
    elif feature.aggregate in _WITHOUT_COLUMN:
        reason = "it looks at no column"
        yield from _forbid(feature, ("column",), f"the aggregate {feature.aggregate}", reason)
    else:
        columns = ("value",) if feature.aggregate in _NUMERIC else EVENT_COLUMNS
        if feature.column not in columns:
            found = "nothing" if feature.column is None else feature.column
            allowed = f"{' or '.join(columns)}, for the aggregate {feature.aggregate}"
            yield Mismatch(("column",), found, allowed, columns, feature.column)
    yield from _check_window(feature)


def _check_window(feature: FeatureSpec) -> Iterator[Mismatch]:
    window_s, tile_s, ttl_s = feature.window_s, feature.tile_s, feature.ttl_s
    if tile_s is not None and window_s is None:
        yield Mismatch(
            ("tile",), "a tile without a window", "a tile beside a window", also=("window",)
        )
    if tile_s is not None and window_s is not None:
        if tile_s > window_s:
            found = f"{tile_s} s, more than the window"
            yield Mismatch(("tile",), found, f"at most the window, {window_s} s")
        elif window_s > tile_s * MAX_TILES:
            found = f"{tile_s} s, which is {-(-window_s // tile_s)} tiles a window"
            yield Mismatch(("tile",), found, f"at most {MAX_TILES} tiles a window")
    if ttl_s is not None and window_s is not None and ttl_s > window_s:
        # What is older than the window is not in the value any more, so it can never be stale.
        found = f"{ttl_s} s, more than the window"
        yield Mismatch(("ttl",), found, f"at most the window, {window_s} s")


def _check_from_upload(
    feature: FeatureSpec, uploads: Mapping[str, UploadSpec], upload_names: Set[str]
) -> Iterator[Mismatch]:
    assert feature.upload is not None
    keys = ("where", "aggregate", "window", "tile")
    reason = "its value is the latest row's"
    yield from _forbid(feature, keys, "a feature from uploads", reason)
    if feature.column is None:
        yield Mismatch(("column",), "nothing", "a column of the dataset")
    if feature.upload not in upload_names:
        known = tuple(f"uploads.{name}" for name in sorted(upload_names))
        allowed = ", ".join(("events", *known))
        found = f"the unknown dataset {feature.upload}"
        yield Mismatch(("from",), found, allowed, known, feature.source)
    dataset = uploads.get(feature.upload)
    if dataset is None:
        return
    if dataset.entity != feature.entity:
        found = f"{feature.entity}, though {feature.source} is about {dataset.entity}"
        yield Mismatch(("entity",), found, dataset.entity)
    if feature.column is not None and feature.column not in dataset.columns:
        columns = tuple(dataset.columns)
        found = f"the unknown column {feature.column}"
        yield Mismatch(("column",), found, ", ".join(columns), columns, feature.column)
    elif feature.column is not None and feature.type not in {None, dataset.columns[feature.column]}:
        declared = dataset.columns[feature.column]
        found = f"{feature.type}, though the dataset declares {declared}"
        yield Mismatch(("type",), found, f"{declared}, or nothing")


def _forbid(
    feature: FeatureSpec, keys: tuple[str, ...], owner: str, reason: str
) -> Iterator[Mismatch]:
    written = {
        "where": bool(feature.where),
        "aggregate": feature.aggregate is not None,
        "column": feature.column is not None,
        "window": feature.window_s is not None,
        "tile": feature.tile_s is not None,
        "ttl": feature.ttl_s is not None,
        "type": feature.type is not None,
    }
    for key in keys:
        if written[key]:
            yield Mismatch((key,), f"a key that {owner} cannot have", f"nothing: {reason}")

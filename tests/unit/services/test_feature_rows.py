import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.features import FeatureRow, FeatureValue, Status
from engine.services.arguments import read_time_us
from engine.services.feature_rows import RowEncoder
from proto.trellis.v1.features_pb2 import (
    BatchGetFeaturesResponse,
    FeatureStatus,
    GetFeaturesResponse,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
LAST_US = 253_402_300_799_999_999
TIMES = st.integers(0, LAST_US)
VALUES = (
    INT64
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.booleans()
)
FIELD_OF = {int: "int64_value", float: "double_value", str: "string_value", bool: "bool_value"}


@st.composite
def feature_values(draw: st.DrawFn) -> FeatureValue:
    status = draw(st.sampled_from(Status))
    value = None if status is Status.MISSING else draw(VALUES)
    return FeatureValue("", value, status, draw(st.none() | TIMES))


@st.composite
def rows(draw: st.DrawFn, width: int, as_of_us: int) -> FeatureRow:
    values = draw(st.lists(feature_values(), min_size=width, max_size=width))
    named = tuple(
        FeatureValue(f"f{n}", v.value, v.status, v.event_time_us) for n, v in enumerate(values)
    )
    return FeatureRow(draw(INT64), as_of_us, draw(st.integers(0, 2**63 - 1)), named)


def decode(message: Any) -> FeatureValue:
    field = message.WhichOneof("value")
    value = None if field is None else getattr(message, field)
    assert field == (None if value is None else FIELD_OF[type(value)])
    status = Status(FeatureStatus.Name(message.status).removeprefix("FEATURE_STATUS_"))
    time = message.event_time
    time_us = read_time_us("event_time", time) if message.HasField("event_time") else None
    return FeatureValue(message.name, value, status, time_us)


def same(one: FeatureValue, other: FeatureValue) -> bool:
    def key(given: FeatureValue) -> tuple[Any, ...]:
        value = given.value
        shown = "nan" if isinstance(value, float) and math.isnan(value) else repr(value)
        return given.name, type(value), shown, given.status, given.event_time_us

    return key(one) == key(other)


@given(st.data(), TIMES, st.integers(0, 6), st.integers(1, 5))
def test_what_is_encoded_is_what_was_read(
    data: st.DataObject, as_of_us: int, width: int, height: int
) -> None:
    made = [data.draw(rows(width, as_of_us)) for _ in range(height)]
    encoder = RowEncoder(tuple(f"f{n}" for n in range(width)), "churn", 3)
    for row in made:
        reply = GetFeaturesResponse.FromString(encoder.encode_row(row).SerializeToString())
        assert (reply.model, reply.model_version) == ("churn", 3)
        assert (reply.entity_key, reply.commit_seq) == (row.entity_key, row.commit_seq)
        assert read_time_us("as_of", reply.as_of) == as_of_us
        assert len(reply.features) == width
        assert all(map(same, map(decode, reply.features), row.values))
    batch = BatchGetFeaturesResponse.FromString(encoder.encode_rows(made).SerializeToString())
    assert (batch.model, batch.model_version) == ("churn", 3)
    assert read_time_us("as_of", batch.as_of) == as_of_us
    assert [row.entity_key for row in batch.rows] == [row.entity_key for row in made]
    for encoded, row in zip(batch.rows, made, strict=True):
        assert encoded.commit_seq == row.commit_seq
        assert all(map(same, map(decode, encoded.features), row.values))


def test_replies_share_nothing() -> None:
    encoder = RowEncoder(("f",))
    present = FeatureRow(1, 5, 1, (FeatureValue("f", 7, Status.PRESENT, 3),))
    missing = FeatureRow(2, 6, 2, (FeatureValue("f", None, Status.MISSING, None),))
    first = encoder.encode_row(present)
    second = encoder.encode_row(missing)
    assert first.features[0].int64_value == 7
    assert second.features[0].WhichOneof("value") is None
    assert not second.features[0].HasField("event_time")


def test_a_row_of_another_width_is_not_sent() -> None:
    row = FeatureRow(1, 5, 1, (FeatureValue("f", 7, Status.PRESENT, 3),))
    with pytest.raises(ValueError, match="zip"):
        RowEncoder(("f", "g")).encode_row(row)

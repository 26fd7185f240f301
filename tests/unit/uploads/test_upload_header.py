"""What a header may say."""

import pytest

from engine.config import UploadSpec
from engine.errors import InvalidArgumentError, NotFoundError, ResourceExhaustedError
from engine.uploads.header import UploadHeader, check_header

SPEC = UploadSpec(entity="user", entity_key="user_id", time_column="t", columns={"plan": "string"})
DATASETS = {"profiles": SPEC}


def test_header_of_a_declared_dataset_gives_its_definition():
    header = UploadHeader("profiles", "ü.csv", "text/csv", "key", 100, "AB" * 32)

    assert check_header(header, DATASETS, max_bytes=100) is SPEC


@pytest.mark.parametrize(
    "fields",
    [
        {"filename": "x" * 256},
        {"filename": "a\nb"},
        {"content_type": "\x00"},
        {"idempotency_key": "k" * 201},
        {"sha256": "12"},
        {"sha256": "g" * 64},
        {"size_bytes": -1},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_field_that_is_not_acceptable_is_named(fields):
    with pytest.raises(InvalidArgumentError) as caught:
        check_header(UploadHeader("profiles", **fields), DATASETS, max_bytes=100)

    assert caught.value.field == next(iter(fields))


def test_limit_is_named_by_its_setting():
    with pytest.raises(ResourceExhaustedError, match=r"uploads\.max_bytes \(100 bytes\)"):
        check_header(UploadHeader("profiles", size_bytes=101), DATASETS, max_bytes=100)


def test_unknown_dataset_comes_with_close_names():
    with pytest.raises(NotFoundError) as caught:
        check_header(UploadHeader("profile"), DATASETS, max_bytes=100)

    assert caught.value.close == ("profiles",)

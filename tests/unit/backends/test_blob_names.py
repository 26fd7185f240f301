"""Which names blobs may have."""

import pytest

from engine.backends.blobs.names import check_name, check_prefix
from engine.errors import InvalidArgumentError


@pytest.mark.parametrize("name", ["a", "models/churn/1.skops", "0-_", "a" * 200, "_/-/x.y.z"])
def test_a_name_every_store_can_have_is_accepted(name):
    assert check_name(name) == name
    for end in range(len(name) + 1):
        assert check_prefix(name[:end]) == name[:end]


@pytest.mark.parametrize(
    "name",
    [
        *("", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", ".a", "a.", "a/.b", "a./b"),
        *("A", "a b", "a\n", "a\0", "a+b", "a%2fb", "a\\b", "ä", "\u202ea", "a" * 201),
    ],
)
def test_any_other_name_is_refused(name):
    with pytest.raises(InvalidArgumentError, match=r"blob name: found .* allowed: 1 to 200"):
        check_name(name)


@pytest.mark.parametrize("prefix", ["/", ".", "A", "a b", "a" * 201, "*"])
def test_a_prefix_of_no_name_is_refused(prefix):
    with pytest.raises(InvalidArgumentError, match="blob prefix"):
        check_prefix(prefix)

import copy
import json
import pickle
import traceback

import attrs
import pytest

from engine.config import RedisConfig, Secret

MARKER = "hunter2-marker"


@pytest.fixture
def secret() -> Secret:
    return Secret(MARKER)


def test_secret_is_masked_wherever_it_is_printed(secret: Secret) -> None:
    printed = [str(secret), repr(secret), f"{secret}", f"{secret!r:>8}", f"{secret:>5}"]
    assert [text.strip() for text in printed] == ["***"] * 5
    assert repr([secret, {"url": secret}]) == "[***, {'url': ***}]"


def test_secret_is_masked_within_its_section(secret: Secret) -> None:
    section = RedisConfig(secret)
    assert repr(section) == "RedisConfig(url=***, cluster=False)"
    assert repr(attrs.asdict(section)) == "{'url': ***, 'cluster': False}"


def test_secret_does_not_pass_through_json(secret: Secret) -> None:
    with pytest.raises(TypeError) as caught:
        json.dumps({"url": secret})
    assert MARKER not in str(caught.value)
    assert json.dumps({"url": secret}, default=str) == '{"url": "***"}'


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_secret_cannot_be_pickled(secret: Secret, protocol: int) -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(RedisConfig(secret), protocol)


def test_secret_is_masked_in_a_traceback_with_locals(secret: Secret) -> None:
    with pytest.raises(ValueError, match="invalid literal") as caught:
        int(str(secret))
    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    text = "".join(report.format())
    assert "secret = ***" in text
    assert MARKER not in text


def test_secret_has_no_attribute_to_look_into(secret: Secret) -> None:
    assert not hasattr(secret, "__dict__")
    assert copy.deepcopy(secret) is secret
    assert copy.copy(secret) is secret


def test_secrets_compare_by_value(secret: Secret) -> None:
    assert secret == Secret(MARKER)
    assert secret != Secret("other")
    assert secret != MARKER
    assert hash(secret) == hash(Secret(MARKER))
    assert Secret("ü") != Secret("u")


def test_revealed_secret_is_the_text(secret: Secret) -> None:
    assert secret.reveal() == MARKER

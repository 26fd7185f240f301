import urllib.parse

import pytest
from purerpc import StatusCode

from engine import errors
from engine.rpc.statuses import cut_message, internal_status, status_of


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidArgumentError("f", "x"), StatusCode.INVALID_ARGUMENT),
        (errors.NotFoundError("model", "x"), StatusCode.NOT_FOUND),
        (errors.AlreadyExistsError("x"), StatusCode.ALREADY_EXISTS),
        (errors.FailedPreconditionError("x"), StatusCode.FAILED_PRECONDITION),
        (errors.ResourceExhaustedError("x"), StatusCode.RESOURCE_EXHAUSTED),
        (errors.UnavailableError("x"), StatusCode.UNAVAILABLE),
        (errors.BackendUnavailableError("kafka", "x"), StatusCode.UNAVAILABLE),
        (errors.WriterClosedError(), StatusCode.UNAVAILABLE),
        (errors.DeadlineExceededError("x"), StatusCode.DEADLINE_EXCEEDED),
    ],
)
def test_what_a_caller_can_act_on_has_a_status_of_its_own(
    error: errors.TrellisError, code: StatusCode
) -> None:
    status = status_of(error)
    assert status is not None
    assert (status.status_code, status.status_message) == (code, str(error))


@pytest.mark.parametrize(
    "error",
    [
        errors.TrellisError("x"),
        errors.StoreError("x"),
        errors.SchemaMismatchError("x"),
        ValueError("x"),
        TimeoutError("x"),
    ],
)
def test_faults_of_ours_have_none(error: Exception) -> None:
    assert status_of(error) is None


def test_a_data_file_that_failed_is_an_engine_that_is_away_and_names_no_files() -> None:
    status = status_of(errors.DataFileFailedError("writing /var/lib/trellis.duckdb failed"))
    assert status is not None
    assert status.status_code is StatusCode.UNAVAILABLE
    assert "/var/lib" not in status.status_message


def test_an_internal_status_tells_the_id_only() -> None:
    status = internal_status("0123abcd")
    assert status.status_code is StatusCode.INTERNAL
    assert status.status_message.endswith(" under error id 0123abcd")


def test_a_retry_hint_is_part_of_the_text() -> None:
    status = status_of(errors.UnavailableError("the broker is starting", retry_after_s=2))
    assert status is not None
    assert status.status_message == "the broker is starting; retry after 2 s"


@pytest.mark.parametrize("letter", ["x", "ü", "…", "🌱"])
def test_a_text_of_any_length_fits_into_a_trailer(letter: str) -> None:
    cut = cut_message(letter * 100_000)
    assert cut.startswith(letter * 100)
    assert cut.endswith("…")
    assert len(urllib.parse.quote(cut, safe="")) < 6_100


def test_a_text_that_is_no_unicode_is_still_sent() -> None:
    assert cut_message("a\ud800b") == "a?b"

import pytest

from engine.tasks.errors import JobCancelled, PermanentJobError, describe_failure
from engine.tasks.link import ConnectionLostError, EngineUnreachableError
from engine.tasks.model_data import ArtifactError, ArtifactUnavailableError


class BrokenError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def failure_of(error):
    def _do():
        def _call():
            raise error

        _call()

    try:
        _do()
    except BaseException as caught:  # noqa: BLE001
        return describe_failure(caught)


@pytest.mark.parametrize(
    ("error", "code", "message", "permanent"),
    [
        (PermanentJobError("bad_file", "no header"), "bad_file", "no header", True),
        (PermanentJobError(404, 5), "404", "5", True),
        (PermanentJobError("\ud800", "no text"), "\\ud800", "no text", True),
        (JobCancelled(), "cancelled", "JobCancelled", True),
        (MemoryError(), "memory", "MemoryError", False),
        (ValueError("odd"), "ValueError", "odd", False),
        (SystemExit(3), "SystemExit", "the job left by sys.exit(3)", False),
        (KeyboardInterrupt(), "KeyboardInterrupt", "KeyboardInterrupt", False),
        (
            BrokenError(),
            "BrokenError",
            "<BrokenError whose text cannot be had: RuntimeError>",
            False,
        ),
        (ValueError("\ud800"), "ValueError", "\\ud800", False),
    ],
)
def test_every_end_of_a_job_has_a_code_and_a_message(error, code, message, permanent):
    failure = failure_of(error)
    assert (failure.code, failure.message, failure.permanent) == (code, message, permanent)


@pytest.mark.parametrize(
    ("error", "out_of_reach"),
    [
        (ConnectionLostError("reset"), True),
        (ArtifactUnavailableError("the blob store is away"), True),
        (EngineUnreachableError("INTERNAL: error 5"), False),
        (ArtifactError("artifact_missing", "gone"), False),
        (OSError("reset"), False),
    ],
)
def test_only_what_the_job_cannot_help_is_out_of_reach(error, out_of_reach):
    assert failure_of(error).out_of_reach is out_of_reach


def test_long_text_keeps_its_begin_and_end():
    failure = failure_of(ValueError("begin" + "x" * 100_000 + "end"))
    assert failure.message.startswith("begin")
    assert failure.message.endswith("end")
    assert len(failure.message) < 2_100
    assert len(failure.stack) < 16_100

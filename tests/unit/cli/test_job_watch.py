"""Following a job from the command line."""

from collections.abc import Iterator

import pytest
from purerpc import Status, StatusCode

from engine.cli.jobs import watch_job
from engine.errors import UnavailableError
from engine.rpc import RpcFailedError
from engine.rpc.client.response import failure_of
from proto.trellis.v1.jobs_pb2 import (
    Job,
    JobAttempt,
    JobState,
    WatchJobRequest,
    WatchJobResponse,
)

RUNNING = JobState.JOB_STATE_RUNNING
SUCCEEDED = JobState.JOB_STATE_SUCCEEDED


def told(state: JobState, attempts: int = 0, *, unchanged: bool = False) -> WatchJobResponse:
    job = Job(state=state, attempts=[JobAttempt(attempt=n + 1) for n in range(attempts)])
    return WatchJobResponse(job=job, attempts_unchanged=unchanged)


OUT_OF_TIME = Status(StatusCode.DEADLINE_EXCEEDED, "the call's time is up")


class ToldInTurn:
    """Stands for the service: each call tells some of it, and ends as the last entry says."""

    def __init__(self, *calls: list[WatchJobResponse | Status]) -> None:
        self._calls = iter(calls)

    def WatchJob(self, request: WatchJobRequest) -> Iterator[WatchJobResponse]:  # noqa: N802
        for one in next(self._calls):
            if isinstance(one, Status):
                raise failure_of(one)
            yield one


def counted(job: Job) -> str:
    return f"{JobState.Name(job.state)} {len(job.attempts)}"


def test_a_job_is_shown_with_the_attempts_that_were_not_sent_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    service = ToldInTurn(
        [told(RUNNING, 2), told(RUNNING, unchanged=True), told(RUNNING, 3), told(SUCCEEDED, 3)]
    )
    assert len(watch_job(service, "id", counted).attempts) == 3
    assert capsys.readouterr().out.splitlines() == [
        "JOB_STATE_RUNNING 2",
        "JOB_STATE_RUNNING 3",
        "JOB_STATE_SUCCEEDED 3",
    ]


def test_a_job_that_stands_still_is_followed_for_as_long_as_the_engine_answers() -> None:
    still = [told(RUNNING, 1), OUT_OF_TIME]
    service = ToldInTurn(still, still, still, [told(SUCCEEDED, 1)])
    assert watch_job(service, "id", counted).state == SUCCEEDED


def test_an_engine_that_does_not_answer_any_more_is_given_up() -> None:
    service = ToldInTurn([told(RUNNING), OUT_OF_TIME], [OUT_OF_TIME])
    with pytest.raises(RpcFailedError) as failed:
        watch_job(service, "id", counted)
    assert failed.value.status.status_code is StatusCode.DEADLINE_EXCEEDED


def test_an_engine_that_says_no_more_is_told_of() -> None:
    with pytest.raises(UnavailableError, match="jobs watch id"):
        watch_job(ToldInTurn([told(RUNNING)]), "id", counted)

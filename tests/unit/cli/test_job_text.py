"""Jobs as they are printed."""

import json

import click
import pytest

from engine.cli.job_text import describe_job, print_job, print_jobs, show_change
from proto.trellis.v1 import jobs_pb2 as pb

HOSTILE = "\x1b[31mred\r\n\x07"


def hostile_job() -> pb.Job:
    attempt = pb.JobAttempt(run=1, attempt=1, cause="died", detail=HOSTILE, stack=f"a\n{HOSTILE}")
    return pb.Job(
        job_id="J",
        job_type=HOSTILE,
        state=pb.JOB_STATE_DEAD,
        error_code=HOSTILE,
        error_message=HOSTILE,
        progress_note=HOSTILE,
        attempts=[attempt],
    )


def test_no_control_character_of_a_job_reaches_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = hostile_job()
    print_job(job)
    print_jobs([job])
    click.echo(show_change(job))
    click.echo(json.dumps(describe_job(job)))
    printed = capsys.readouterr().out
    assert "red" in printed
    assert not [c for c in printed if c != "\n" and not c.isprintable()]


def test_a_change_is_one_line_with_state_and_progress() -> None:
    job = pb.Job(state=pb.JOB_STATE_RUNNING, run=2, attempt=3, progress=1500, progress_total=9000)
    job.progress_note = "rows"
    assert show_change(job) == "running  run 2, attempt 3  1,500 of 9,000, rows"


def test_a_job_for_machines_has_its_json_parsed_and_none_for_what_is_not_there() -> None:
    job = pb.Job(state=pb.JOB_STATE_QUEUED, payload_json='{"a":1}')
    facts = describe_job(job)
    assert (facts["state"], facts["payload"], facts["result"]) == ("queued", {"a": 1}, None)
    assert facts["due_at"] is None


def test_attempts_that_are_not_shown_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    attempt = pb.JobAttempt(run=1, attempt=1201, cause="died", charged=True)
    job = pb.Job(state=pb.JOB_STATE_DEAD, attempts=[attempt], attempts_left_out=1200)
    print_job(job)
    assert "\n1,200 earlier attempts are not shown\n" in capsys.readouterr().out
    assert describe_job(job)["attempts_left_out"] == 1200


def test_an_empty_list_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_jobs([])
    assert capsys.readouterr().out == "no jobs\n"

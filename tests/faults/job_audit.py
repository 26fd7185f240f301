"""What Trellis says of jobs against what the independent log says."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import attrs

from proto.trellis.v1 import jobs_pb2
from tests.faults.job_log import Entry
from tests.faults.misdeeds import MISDEEDS
from tests.faults.plan import PlannedJob
from tests.faults.registry import EngineEnd, Hit

CHARGED = frozenset({"died", "silent", "stalled", "memory", "error"})
_UNDELIVERED = "its outcome, if it came to one, was lost with the worker"
_STUCK = frozenset({"silent", "stalled"})
_LATER_LEASES = 2
"""What a hit does may show so many leases later."""


@attrs.frozen
class OutsideFault:
    """A fault from outside that has been injected."""

    name: str
    description: str
    began_ns: int
    ended_ns: int
    may_cause: frozenset[str]


@attrs.frozen
class Circumstances:
    """What befell a world while the jobs ran."""

    hits: Sequence[Hit]
    engine_ends: Sequence[EngineEnd]
    faults: Sequence[OutsideFault]
    lease_s: float

    @property
    def later_ns(self) -> int:
        """For how long after a hit its consequences may show."""
        return int(_LATER_LEASES * self.lease_s * 1e9)


@attrs.define
class Run:
    """An attempt as the log has it. `until_ns` is when the next one of its job began."""

    attempt: int
    pid: int
    start_ticks: int
    began_ns: int
    until_ns: int
    number: int
    """As the attempt itself counts; one that is killed before it writes its line counts, too."""
    misdeed: str = ""
    fault_ns: int | None = None
    outcome: str | None = None
    ended_ns: int | None = None


@attrs.frozen
class Latency:
    """From a fault to the next attempt of the job it hit."""

    cause: str
    fault: str
    seconds: float
    lease_s: float

    @property
    def kind(self) -> str:
        """The cause, with the lease where that is what it takes."""
        return f"{self.cause} ({self.lease_s:g} s lease)" if self.cause == "silent" else self.cause


@attrs.define
class JobFindings:
    """What an audit has found; `violations` must be empty."""

    violations: list[str] = attrs.field(factory=list)
    states: Counter[str] = attrs.field(factory=Counter)
    causes: Counter[str] = attrs.field(factory=Counter)
    latencies: list[Latency] = attrs.field(factory=list)
    undelivered: int = 0
    """Attempts beside the one that their worker ended with: over and not handed in, or begun when
    it had been given up."""


def find_overlaps(log: Iterable[Entry]) -> list[str]:
    """Return every attempt that found another of its job alive."""
    return [
        f"job {entry.job_id}: attempt {entry.attempt} began in {entry.pid} while another lived: "
        f"{entry.facts['other']}"
        for entry in log
        if entry.event == "overlap"
    ]


def runs_by_job(log: Iterable[Entry]) -> dict[str, list[Run]]:
    """Return the attempts of all jobs, in order."""
    found: dict[str, list[Run]] = {}
    for entry in log:
        runs = found.setdefault(entry.job_id, [])
        match entry.event:
            case "begin":
                if runs:
                    runs[-1].until_ns = entry.at_ns
                number = entry.facts["number"]
                began = (entry.attempt, entry.pid, entry.start_ticks, entry.at_ns)
                runs.append(Run(*began, until_ns=1 << 63, number=number))
            case "fault" | "end":
                # What a job has forked may come back from its misdeed: it is not the attempt.
                me = (entry.attempt, entry.pid)
                run = next((run for run in runs if (run.attempt, run.pid) == me), None)
                if run is None:
                    continue
                if entry.event == "fault":
                    run.misdeed, run.fault_ns = entry.facts["misdeed"], entry.at_ns
                else:
                    run.outcome, run.ended_ns = entry.facts["outcome"], entry.at_ns
            case _:
                pass
    return found


def of_last_run(job: jobs_pb2.Job) -> jobs_pb2.Job:
    """Return a job with the attempts of its last run alone."""
    last = jobs_pb2.Job()
    last.CopyFrom(job)
    del last.attempts[:]
    last.attempts.extend(attempt for attempt in job.attempts if attempt.run == job.run)
    return last


def find_changes(before: jobs_pb2.Job, after: jobs_pb2.Job) -> list[str]:
    """Return what is wrong about a job that was run once more, as it is after that."""
    found = []
    if after.run != before.run + 1:
        found.append(f"job {after.job_id}: run {after.run} after run {before.run}")
    kept = [attempt for attempt in after.attempts if attempt.run == before.run]
    if kept != [*before.attempts]:
        found.append(f"job {after.job_id}: attempts of its run {before.run} became {kept}")
    return found


def audit_job(
    planned: PlannedJob,
    job: jobs_pb2.Job,
    runs: Sequence[Run],
    circumstances: Circumstances,
    findings: JobFindings,
) -> None:
    """Compare a run of a job that has ended with its plan and its log.

    Args:
      job: as it was when its run had ended, with the attempts of that run alone.
      runs: attempts in that run.
    """
    state = jobs_pb2.JobState.Name(job.state).removeprefix("JOB_STATE_")
    findings.states[state] += 1
    say = _Say(findings, f"job {job.job_id} ({planned.key}, {planned.misdeed or 'good'})")
    by_attempt = {attempt.attempt: attempt for attempt in job.attempts}
    if len(by_attempt) != len(job.attempts):
        say(f"an attempt is recorded twice: {[attempt.attempt for attempt in job.attempts]}")
    for run in runs:
        recorded = by_attempt.get(run.attempt)
        if recorded is not None and _is_undelivered(recorded):
            findings.undelivered += 1
            if recorded.pid != run.pid:
                say(f"attempt {run.attempt} ran in {run.pid}, recorded is {recorded.pid}")
            continue
        expected = _expected_causes(run, circumstances)
        if recorded is None:
            say(f"attempt {run.attempt} in {run.pid} began and is not recorded")
            continue
        findings.causes[recorded.cause] += 1
        _note_latency(run, recorded.cause, circumstances, findings)
        if recorded.cause not in expected:
            say(
                f"attempt {run.attempt} in {run.pid} ended by {recorded.cause!r} "
                f"({recorded.detail}), expected {sorted(expected)}; logged: {run}"
            )
        if recorded.pid not in {0, run.pid}:
            say(f"attempt {run.attempt} ran in {run.pid}, recorded is {recorded.pid}")
        # An engine that stops does not wait for stacks, and who is killed meanwhile has none.
        if not _engine_ends_meanwhile(run, circumstances) and not _is_killed(run, circumstances):
            _check_stack(run, recorded, say)
    if planned.is_upload:
        # Its code is Trellis' own, which writes no log; but what ended it from outside is known.
        by_attempt = {n: one for n, one in by_attempt.items() if one.cause != "completed"}
    _check_unbegun(by_attempt, runs, circumstances, say)
    _check_charges(job, state, say)
    _check_final(planned, job, state, runs, say)


@attrs.frozen
class _Say:
    findings: JobFindings
    who: str

    def __call__(self, what: str) -> None:
        self.findings.violations.append(f"{self.who}: {what}")


def _expected_causes(run: Run, circumstances: Circumstances) -> frozenset[str]:
    """Return the causes by which an attempt may have ended, as far as the log can tell."""
    causes: set[str] = set()
    misdeed = MISDEEDS.get(run.misdeed)
    if run.outcome == "returned":
        causes.add("completed")
    elif run.outcome == "JobCancelled":
        causes.add("cancelled")
    elif run.outcome is not None:
        causes.add("error")
    elif misdeed is not None:
        causes |= misdeed.causes
    return frozenset(causes | _caused_from_outside(run, circumstances))


def _caused_from_outside(run: Run, circumstances: Circumstances) -> set[str]:
    causes: set[str] = set()
    for hit in circumstances.hits:
        same = (hit.pid, hit.start_ticks) == (run.pid, run.start_ticks)
        if same and run.began_ns - circumstances.later_ns < hit.at_ns < run.until_ns:
            causes |= hit.causes
    for end in _engine_ends_meanwhile(run, circumstances):
        causes |= end.causes
    for fault in circumstances.faults:
        before_ns = run.began_ns - circumstances.later_ns
        if fault.began_ns < run.until_ns and before_ns < fault.ended_ns:
            causes |= fault.may_cause
    return causes


def _is_undelivered(recorded: jobs_pb2.JobAttempt) -> bool:
    return recorded.detail.startswith(_UNDELIVERED) and recorded.cause in CHARGED


def _is_killed(run: Run, circumstances: Circumstances) -> bool:
    return any(
        (hit.pid, hit.start_ticks) == (run.pid, run.start_ticks) and "died" in hit.causes
        for hit in circumstances.hits
    )


def _engine_ends_meanwhile(run: Run, circumstances: Circumstances) -> list[EngineEnd]:
    return [
        end
        for end in circumstances.engine_ends
        if end.at_ns < run.until_ns and (end.until_ns is None or run.began_ns < end.until_ns)
    ]


def _check_stack(run: Run, recorded: jobs_pb2.JobAttempt, say: _Say) -> None:
    misdeed = MISDEEDS.get(run.misdeed)
    if recorded.cause in _STUCK and not recorded.stack:
        say(f"attempt {run.attempt} was {recorded.cause} and has no stack")
    if misdeed is None or not misdeed.shown or recorded.cause not in misdeed.causes:
        return
    if misdeed.shown not in recorded.stack:
        say(f"attempt {run.attempt}: its stack does not show {misdeed.shown}: {recorded.stack!r}")


def _check_unbegun(
    by_attempt: Mapping[int, jobs_pb2.JobAttempt],
    runs: Sequence[Run],
    circumstances: Circumstances,
    say: _Say,
) -> None:
    """Attempts may end before the job's code begins, if somebody ended them."""
    hit_pids = {hit.pid for hit in circumstances.hits}
    may_be = {cause for end in circumstances.engine_ends for cause in end.causes}
    may_be |= {cause for fault in circumstances.faults for cause in fault.may_cause}
    for number in by_attempt.keys() - {run.attempt for run in runs}:
        recorded = by_attempt[number]
        if recorded.pid not in hit_pids and recorded.cause not in may_be:
            say(f"attempt {number} is recorded as {recorded.cause!r} and never began: {recorded}")


def _check_charges(job: jobs_pb2.Job, state: str, say: _Say) -> None:
    for attempt in job.attempts:
        if attempt.charged != (attempt.cause in CHARGED and not _is_undelivered(attempt)):
            say(f"attempt {attempt.attempt}: {attempt.cause} with charged={attempt.charged}")
    charged = sum(attempt.charged for attempt in job.attempts)
    if charged != job.failures:
        say(f"{charged} attempts are charged, but it has {job.failures} failures")
    if (state == "DEAD") != (charged >= job.max_attempts) and state not in {"FAILED", "CANCELLED"}:
        say(f"{state} with {charged} of {job.max_attempts} attempts charged")


def _check_final(
    planned: PlannedJob,
    job: jobs_pb2.Job,
    state: str,
    runs: Sequence[Run],
    say: _Say,
) -> None:
    if state not in {planned.final, "DEAD"}:  # dead ones are checked by their charges
        say(f"ended as {state}, not {planned.final}")
    completed = [attempt for attempt in job.attempts if attempt.cause == "completed"]
    if len(completed) != (state == "SUCCEEDED"):
        say(f"{state} with {len(completed)} completed attempts")
    if state != "SUCCEEDED" or len(completed) != 1:
        return
    if planned.is_upload:
        accepted = json.loads(job.result_json)["rows_accepted"]
        if accepted != len(planned.entities):
            say(f"{accepted} rows were accepted of {len(planned.entities)}")
        return
    who = (completed[0].attempt, completed[0].pid)
    run = next((run for run in runs if (run.attempt, run.pid) == who), None)
    if run is None or run.outcome != "returned":
        say(f"completed by an attempt that did not return: {run}")
        return
    result = {"key": planned.key, "number": run.number}
    if json.loads(job.result_json) != result:
        say(f"its result is {job.result_json}, not {result}")


def _note_latency(
    run: Run, cause: str, circumstances: Circumstances, findings: JobFindings
) -> None:
    if run.until_ns == 1 << 63 or cause not in CHARGED:
        return
    hits = [
        hit
        for hit in circumstances.hits
        if (hit.pid, hit.start_ticks) == (run.pid, run.start_ticks)
        and run.began_ns < hit.at_ns < run.until_ns
        and cause in hit.causes
    ]
    if run.fault_ns is not None and MISDEEDS[run.misdeed].causes:
        fault, at_ns = run.misdeed, run.fault_ns
    elif hits:
        fault, at_ns = hits[0].fault, hits[0].at_ns
    else:
        return
    seconds = (run.until_ns - at_ns) / 1e9
    findings.latencies.append(Latency(cause, fault, seconds, circumstances.lease_s))

"""The law of the queue: whatever happens in whatever order, every job ends once, told rightly."""

import contextlib
import json
import os
import tempfile
from collections import defaultdict
from pathlib import Path

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import BackendUnavailableError, FailedPreconditionError, StaleTokenError
from engine.jobs import (
    AttemptEnd,
    Cause,
    JobFailure,
    JobHooks,
    JobResult,
    JobSpec,
    JobsSettings,
    JobState,
)
from engine.store import StoreSettings, open_store
from tests.integration.jobs.world import UnreliableClient, World, effect, eventually
from tests.support.redis_servers import running_server

EXAMPLES = int(os.environ.get("TRELLIS_QUEUE_EXAMPLES", "25"))
"""Deeper runs: TRELLIS_QUEUE_EXAMPLES=2000."""

SLOTS = ("a", "b", "c")
SETTINGS = JobsSettings(retry_first_s=0.001, retry_longest_s=0.004)
MAX_ATTEMPTS = 3
FAULTS = ("lose_answers", "lose_calls", "flush", "set_back", "kill_redis", "lose_engine")


@attrs.frozen
class Step:
    """Something that happens; `which` chooses among the jobs that it can happen to."""

    what: str
    slot: str
    which: int
    flag: bool


def step(*kinds):
    return st.builds(
        Step,
        what=st.sampled_from(kinds),
        slot=st.sampled_from(SLOTS),
        which=st.integers(0, 50),
        flag=st.booleans(),
    )


work = step("submit", "claim", "claim", "claim", "complete", "fail", "release", "give_back")
doubt = step("cancel", "retry", "repeat", "stale", "hold_up")
faults = step(*FAULTS)
one = st.one_of(work, work, work, doubt, faults)
plots = st.lists(
    # Steps of one inner list happen at once.
    st.one_of(one.map(lambda only: [only]), st.lists(one, min_size=2, max_size=4)),
    min_size=10,
    max_size=50,
)


START = [[Step("submit", "a", which, which % 4 == 0) for which in range(8)]]
"""Without jobs there is nothing to get wrong."""


class Play:
    """Runs steps and keeps its own books of what the calls answered."""

    def __init__(self, world):
        self.world = world
        self.jobs = None
        self.submitted = []
        self.numbers = 0
        self.hands = {slot: {} for slot in SLOTS}
        self.past = []
        self.handed = defaultdict(set)
        self.accepted = set()
        self.disturbed = False
        self.hook_delay_s = 0.0

    async def perform(self, plot):
        """Run the steps, in as many lives of the engine as it takes, then bring all to an end."""
        rest = iter([*START, *plot])
        over = False
        self.world.hooks = {"noop": JobHooks(complete=self.leave_effect)}
        while not over:
            async with self.world.open_until_killed() as self.jobs:
                for together in rest:
                    if await self.run(together):
                        break
                else:
                    await self.drain()
                    await self.check()
                    await eventually(self.check_queue)
                    over = True
            self.past += [(slot, job) for slot in SLOTS for job in self.hands[slot].values()]
            self.hands = {slot: {} for slot in SLOTS}

    async def leave_effect(self, job, _):
        await trio.sleep(self.hook_delay_s)
        return (effect(json.loads(job.payload_json)["n"] * 1_000 + job.run),)

    async def run(self, together):
        """Run steps at once; True if one is the engine's end, which cuts the others off."""
        ends = [step for step in together if step.what == "lose_engine"]
        self.disturbed = self.disturbed or any(step.what in FAULTS for step in together)
        async with trio.open_nursery() as nursery:
            for step in together:
                if step not in ends:
                    delay_s = step.which / 5_000 if len(together) > 1 else 0.0
                    nursery.start_soon(self.run_one, step, delay_s)
            if ends:
                await trio.sleep(ends[0].which / 5_000)
                nursery.cancel_scope.cancel()
        return bool(ends)

    async def run_one(self, step, delay_s):
        await trio.sleep(delay_s)
        await getattr(self, step.what)(step)

    def choose(self, step):
        held = list(self.hands[step.slot].values())
        return held[step.which % len(held)] if held else None

    def some(self, step, most):
        return list(self.hands[step.slot].values())[: step.which % (most + 1)]

    def known(self, step):
        return self.submitted[step.which % len(self.submitted)] if self.submitted else None

    def drop(self, slot, job):
        if self.hands[slot].pop(job.token, None) is not None:
            self.past.append((slot, job))

    async def submit(self, step):
        self.numbers += 1
        spec = JobSpec(
            "noop",
            {"n": self.numbers},
            pool="heavy" if step.which % 5 == 0 else "default",
            priority=step.which % 3,
            delay_s=0.002 if step.flag else 0.0,
            max_attempts=MAX_ATTEMPTS,
            idempotency_key=f"key {self.numbers}",
        )
        submission = await self.jobs.submit(spec)
        assert submission.created
        self.submitted.append(submission.job_id)
        assert (await self.jobs.submit(spec)) == attrs.evolve(submission, created=False)

    async def claim(self, step):
        pools = ["default"] if step.which % 4 == 0 else None
        # After a fault the queue is built again first.
        wait_s, self.disturbed = 0.3 if self.disturbed else 0.01, False
        for job in await self.jobs.claim(step.slot, pools, 1 + step.which % 5, wait_s):
            holders = [
                slot
                for slot in SLOTS
                for held in self.hands[slot].values()
                if held.job_id == job.job_id
            ]
            assert holders == [], f"{job.job_id} is held already"
            self.hands[step.slot][job.token] = job
            self.handed[job.job_id, job.run].add(job.attempt)

    async def complete(self, step):
        await self.finish(step.slot, self.some(step, 4))

    async def repeat(self, step):
        held = self.some(step, 2)
        await self.finish(step.slot, [*held, *held])

    async def finish(self, slot, held):
        results = [JobResult(job.job_id, job.token) for job in held]
        # What is reported is no longer in anybody's hands, whenever the answer comes.
        for job in held:
            self.drop(slot, job)
        verdicts = await self.jobs.complete(slot, results)
        for job, verdict in zip(held, verdicts, strict=True):
            if verdict.accepted:
                self.accepted.add((job.job_id, job.run))

    async def fail(self, step):
        if job := self.choose(step):
            self.drop(step.slot, job)
            failure = JobFailure(job.job_id, job.token, "e", "", permanent=step.which % 7 == 0)
            with contextlib.suppress(StaleTokenError):
                await self.jobs.fail(step.slot, failure)

    async def release(self, step):
        job = self.choose(step)
        end = AttemptEnd(Cause.DIED if step.flag else Cause.SHUTDOWN, charged=step.flag)
        for held in list(self.hands[step.slot].values()):
            self.drop(step.slot, held)
        await self.jobs.release(
            step.slot,
            running=job.job_id if job else None,
            end=end,
            back_to="slot" if step.which % 2 else "queue",
        )

    async def give_back(self, step):
        held = self.some(step, 3)
        for job in held:
            self.drop(step.slot, job)
        await self.jobs.give_back(step.slot, [(job.job_id, job.token) for job in held])

    async def cancel(self, step):
        if job_id := self.known(step):
            view = await self.jobs.cancel(job_id)
            assert view.state.is_final or view.cancel_requested

    async def retry(self, step):
        if job_id := self.known(step):
            with contextlib.suppress(FailedPreconditionError):
                await self.jobs.retry(job_id)

    async def stale(self, step):
        if self.past:
            slot, job = self.past[step.which % len(self.past)]
            [verdict] = await self.jobs.complete(slot, [JobResult(job.job_id, job.token)])
            # It may be the repetition of a report that was accepted, or the first one that arrives.
            if verdict.accepted:
                self.accepted.add((job.job_id, job.run))

    async def hold_up(self, step):
        """Let hooks take their time, so that more comes in between."""
        self.hook_delay_s = step.which / 5_000

    async def lose_answers(self, step):
        self.world.client.answers_to_lose = 1 + step.which % 5

    async def lose_calls(self, step):
        self.world.client.calls_to_lose = 1 + step.which % 5

    async def flush(self, _):
        await self.on_server(lambda client: client.flushall())

    async def set_back(self, _):
        key = f"{{{self.world.queue_name}}}:1:meta"
        await self.on_server(
            lambda client: client.exists(key) and client.hincrby(key, "writes", -1)
        )

    async def kill_redis(self, _):
        with trio.CancelScope(shield=True):
            async with self.world.restarting:
                await trio.to_thread.run_sync(self.world.server.kill)
                await trio.to_thread.run_sync(self.world.server.start)

    async def on_server(self, change):
        def call():
            with contextlib.closing(self.world.server.client()) as client:
                change(client)

        async with self.world.restarting:
            await trio.to_thread.run_sync(call)

    async def drain(self):
        """Bring all jobs to an end, as workers do when nothing is in their way."""
        self.world.client.answers_to_lose = self.world.client.calls_to_lose = 0
        self.hook_delay_s = 0.0
        for slot in SLOTS:
            await self.finish(slot, list(self.jobs.held(slot)))

        async def work(slot):
            while True:
                held = await self.jobs.claim(slot, None, 10, 0.02)
                for job in held:
                    self.handed[job.job_id, job.run].add(job.attempt)
                await self.finish(slot, held)

        async with trio.open_nursery() as nursery:
            for slot in SLOTS:
                nursery.start_soon(work, slot)
            await eventually(self.all_ended)
            nursery.cancel_scope.cancel()

    async def all_ended(self):
        sql = """
            SELECT count(*) FROM (
                SELECT job_id, max(run) AS run FROM job_log
                WHERE change IN ('accepted', 'retried') GROUP BY job_id
            ) ANTI JOIN job_outcomes USING (job_id, run)"""
        return await self.world.rows(sql) == [(0,)]

    async def check(self):
        runs = await self.world.rows(
            "SELECT job_id, run FROM job_log WHERE change IN ('accepted', 'retried')"
        )
        outcomes = {
            (job_id, run): (JobState(state), failures)
            for job_id, run, state, failures in await self.world.rows(
                "SELECT job_id, run, state, failures FROM job_outcomes"
            )
        }
        assert sorted(runs) == sorted(outcomes)
        assert {job_id for job_id, _ in runs} >= set(self.submitted)
        effects = dict(
            await self.world.rows("SELECT user_id, count(*) FROM events GROUP BY user_id")
        )
        assert set(effects.values()) <= {1}
        expected_effects = set()
        for job_id in {job_id for job_id, _ in runs}:
            view = await self.jobs.get(job_id)
            number = json.loads(view.payload_json)["n"]
            for run in range(1, view.run + 1):
                state, failures = outcomes[job_id, run]
                attempts = [one for one in view.attempts if one.run == run]
                self.check_run(job_id, run, state, failures, attempts)
                if state is JobState.SUCCEEDED:
                    expected_effects.add(number * 1_000 + run)
        assert effects.keys() == expected_effects
        assert all(outcomes[key][0] is JobState.SUCCEEDED for key in self.accepted)

    def check_run(self, job_id, run, state, failures, attempts):
        assert [one.attempt for one in attempts] == list(range(1, len(attempts) + 1))
        causes = [one.cause for one in attempts]
        assert (state is JobState.SUCCEEDED) == (Cause.COMPLETED in causes)
        assert Cause.COMPLETED not in causes[:-1]
        assert failures == sum(one.charged for one in attempts)
        assert (failures == MAX_ATTEMPTS) <= (state in (JobState.DEAD, JobState.FAILED))
        assert (state is JobState.DEAD) <= (failures == MAX_ATTEMPTS)
        known = {one.attempt for one in attempts if one.cause is not Cause.ENGINE_LOST}
        assert known <= self.handed[job_id, run]

    async def check_queue(self):
        try:
            depths = (await self.jobs.stats()).by_pool.values()
        except BackendUnavailableError:
            return False
        if any(depth.ready or depth.delayed or depth.leased for depth in depths):
            return False
        keys = [key.decode() for key in self.world.client.keys(f"{{{self.world.queue_name}}}*")]
        left = {"live", "spec", "delayed", "leased", "held", "reserved", "ready"}
        return not left & {key.split(":", 4)[3].partition(":")[0] for key in keys}


@pytest.fixture(scope="module")
def server():
    with running_server("redis6") as server:
        yield server


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(plot=plots)
def test_every_job_ends_once_whatever_happens(server, plot):
    async def run():
        client = UnreliableClient(server)
        with tempfile.TemporaryDirectory() as folder, contextlib.closing(client):
            client.flushall()
            async with open_store(StoreSettings(path=Path(folder, "t.duckdb"))) as store:
                await Play(World(store, server, client, settings=SETTINGS)).perform(plot)

    trio.run(run)

"""The law of uploads: whatever is sent, lost, retried and repeated, a file counts once at most."""

import contextlib
import json
import tempfile
from pathlib import Path

import attrs
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import FailedPreconditionError
from engine.jobs import AttemptEnd, Cause, ClaimedJob, JobFailure
from engine.store import StoreSettings, open_store
from engine.uploads import UploadHeader, make_upload_rules, open_uploads
from tests.integration.jobs.world import World
from tests.integration.uploads.conftest import DATASETS
from tests.integration.uploads.desk import MAX_BYTES, Row, UploadDesk, in_chunks

FILES = 3
LOST = AttemptEnd(Cause.DIED, charged=True)
ENDINGS = {"FAILED", "CANCELLED", "COMPLETED"}


@attrs.frozen
class Step:
    """Something that happens; `which` chooses what it happens to."""

    what: str
    which: int


def steps(*kinds):
    return st.builds(Step, st.sampled_from(kinds), st.integers(0, 11))


happening = st.one_of(
    steps("send", "send_under_key", "work", "work"),
    steps("fail", "die", "cancel", "retry", "retry", "abort", "half_done"),
    steps("kill_engine"),
)
plots = st.lists(st.lists(happening, min_size=1, max_size=3), min_size=4, max_size=16)

START = [
    [Step(what, 0)] for what in ("send", "cancel", "send_under_key", "cancel", "send_under_key")
]
"""A file that was sent three times, since nothing has come of it twice."""


def content_of(file: int) -> bytes:
    # The last one is stored in parts.
    return b"%d" % file * (1 if file < FILES - 1 else 1_500_000)


def rows_of(file: int) -> list[Row]:
    return [(file, json.dumps({"plan": str(n)}), n) for n in range(file + 2)]


class Play:
    """Sends files and does what workers do with them."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.rules = make_upload_rules(world.store.reader, folder)
        world.hooks = self.rules.hooks
        self.file_of: dict[str, int] = {}
        self.desk: UploadDesk

    async def perform(self, plot: list[list[Step]]) -> None:
        rest = iter([*START, *plot])
        over = False
        while not over:
            async with self.open_until_killed() as self.desk:
                for together in rest:
                    if await self.run(together):
                        break
                else:
                    await self.finish()
                    await self.check()
                    over = True

    @contextlib.asynccontextmanager
    async def open_until_killed(self):
        store = self.world.store
        async with (
            self.world.open_until_killed() as jobs,
            open_uploads(
                jobs, self.rules, store.writer, store.reader, DATASETS, max_bytes=MAX_BYTES
            ) as uploads,
        ):
            await jobs.wait_queue_open()
            yield UploadDesk(store, jobs, uploads, DATASETS)

    async def run(self, together: list[Step]) -> bool:
        """Do things at once; True if the engine is killed meanwhile."""
        kill = [step for step in together if step.what == "kill_engine"]
        async with trio.open_nursery() as nursery:
            for step in together:
                if step not in kill:
                    nursery.start_soon(getattr(self, step.what), step.which)
            if kill:
                await trio.sleep(kill[0].which / 2_000)
                nursery.cancel_scope.cancel()
        return bool(kill)

    async def send(self, which: int) -> None:
        await self.take_in(which % FILES)

    async def send_under_key(self, which: int) -> None:
        # Several files under one key: the sender has mended the file.
        await self.take_in(which % FILES, idempotency_key=f"key {which % 2}")

    async def take_in(self, file: int, **header: str) -> None:
        receipt = await self.desk.send(content_of(file), **header)
        view = await self.desk.uploads.get(receipt.upload_id)
        assert view.job_id == receipt.job_id
        self.file_of.setdefault(receipt.sha256, file)

    async def abort(self, which: int) -> None:
        """Send a file whose sender goes away somewhere."""
        with trio.move_on_after(which / 1_000):
            chunks = in_chunks(content_of(which % FILES), 100_000)
            async with contextlib.aclosing(chunks):
                await self.desk.uploads.receive(UploadHeader("profiles"), chunks)

    async def claim(self, which: int) -> ClaimedJob | None:
        claimed = await self.desk.jobs.claim(f"slot {which}", None, 1, 0.05)
        held = claimed or list(self.desk.jobs.held(f"slot {which}"))
        return held[0] if held else None

    async def stage(self, job: ClaimedJob) -> list[Row]:
        upload_id = json.loads(job.payload_json)["upload_id"]
        content = await self.desk.read(upload_id)
        rows = rows_of(int(content[:1]))
        await self.desk.stage(job, rows[:1], rows[1:])
        return rows

    async def work(self, which: int) -> None:
        if job := await self.claim(which):
            rows = await self.stage(job)
            await self.desk.complete(job, len(rows), slot=f"slot {which}")

    async def half_done(self, which: int) -> None:
        if job := await self.claim(which):
            await self.stage(job)

    async def fail(self, which: int) -> None:
        if job := await self.claim(which):
            failure = JobFailure(job.job_id, job.token, "bad", "", permanent=which % 3 > 0)
            with contextlib.suppress(FailedPreconditionError):
                await self.desk.jobs.fail(f"slot {which}", failure)

    async def die(self, which: int) -> None:
        if job := await self.claim(which):
            await self.stage(job)
            await self.desk.jobs.release(
                f"slot {which}", running=job.job_id, end=LOST, back_to="queue"
            )

    async def cancel(self, which: int) -> None:
        if job_id := await self.any_job(which):
            await self.desk.jobs.cancel(job_id)

    async def retry(self, which: int) -> None:
        if job_id := await self.any_job(which):
            with contextlib.suppress(FailedPreconditionError):
                await self.desk.jobs.retry(job_id)

    async def any_job(self, which: int) -> str | None:
        rows = await self.desk.rows("SELECT job_id FROM uploads ORDER BY upload_id DESC LIMIT 4")
        return rows[which % len(rows)][0] if rows else None

    async def finish(self) -> None:
        """Have workers do all that is left to do."""
        for slot in range(12):
            for job in self.desk.jobs.held(f"slot {slot}"):
                await self.desk.jobs.release(
                    f"slot {slot}", running=job.job_id, end=LOST, back_to="queue"
                )
        with trio.fail_after(20):
            while await self.desk.rows("SELECT 1 FROM uploads WHERE status = 'RECEIVED' LIMIT 1"):
                await self.work(0)

    async def check(self) -> None:
        uploads = await self.desk.rows(
            "SELECT u.upload_id, u.status, u.sha256, o.state FROM uploads u "
            "JOIN (SELECT job_id, arg_max(state, run) AS state FROM job_outcomes GROUP BY 1) o "
            "USING (job_id)"
        )
        assert len(uploads) == await self.desk.count("uploads")
        for upload_id, status, _, state in uploads:
            expected = {"SUCCEEDED": "COMPLETED", "CANCELLED": "CANCELLED"}.get(state, "FAILED")
            assert status == expected, upload_id
        completed = [sha256 for _, status, sha256, _ in uploads if status == "COMPLETED"]
        assert len(completed) == len(set(completed)), "a file counts twice"
        counted = await self.desk.rows(
            "SELECT entity_key, count(*) FROM feature_history GROUP BY ALL ORDER BY ALL"
        )
        files = {int(content[:1]) for content in await self.contents("COMPLETED")}
        assert counted == [(file, len(rows_of(file))) for file in sorted(files)]
        assert self.desk.staged_rows() == 0
        for status in ENDINGS:
            await self.contents(status)

    async def contents(self, status: str) -> list[bytes]:
        """Return the files in a status, each of which must be whole."""
        found = []
        for upload_id, size in await self.desk.rows(
            f"SELECT upload_id, size_bytes FROM uploads WHERE status = '{status}'"
        ):
            content = await self.desk.read(upload_id)
            assert len(content) == size
            found.append(content)
        return found


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(plot=plots)
def test_a_file_counts_once_whatever_happens_to_its_uploads(server, plot):
    async def main() -> None:
        with contextlib.closing(server.client()) as client:
            client.flushall()
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "trellis.duckdb"
                async with open_store(StoreSettings(path=path)) as store:
                    await Play(World(store, server, client), path.parent).perform(plot)

    trio.run(main)

"""What a worker has of its slot's jobs: what the engine has handed out, and what the page says."""

from engine.jobs import ClaimedJob, Jobs
from engine.workers.page import PageView, Phase, token_mark


class HeldJobs:
    """The jobs of one slot, for as long as one worker has it. Used from the Trio thread."""

    def __init__(self, jobs: Jobs, slot: str) -> None:
        self._jobs = jobs
        self._slot = slot

    def all(self) -> tuple[ClaimedJob, ...]:
        """Return what was handed out and has not ended, in the order it was handed out."""
        return self._jobs.held(self._slot)

    def find(self, token: str) -> ClaimedJob | None:
        """Return the job of a token; None, too, if there is no token."""
        return next((job for job in self.all() if job.token == token), None) if token else None

    def in_hand(self, page: PageView | None, reported: str) -> ClaimedJob | None:
        """Return the job being run.

        Args:
          page: of the worker's process, if there is one.
          reported: the token that was last said to be in hand.
        """
        if page is None or page.phase is Phase.STARTING:
            # Nothing is to be read there (any more); what was last said has to do.
            return self.find(reported)
        return self._marked(page.running)

    def unfinished(self, page: PageView | None, reported: str) -> ClaimedJob | None:
        """Return the job in hand, else the one begun last if its outcome has not come.

        What a job leaves behind may end the worker before that is on its way, and will again.
        """
        job = self.in_hand(page, reported)
        return job if job is not None or page is None else self._marked(page.latest)

    def begun(self, page: PageView | None) -> tuple[ClaimedJob, ...]:
        """Return what a dead worker had begun; while it lives, there may be more.

        It does jobs in the order it got them, so all before the one begun last are among them: they
        are done, and were to be handed in together.
        """
        held = self.all()
        marks = [token_mark(job.token) for job in held]
        latest = None if page is None else page.latest
        return held[: marks.index(latest) + 1] if latest in marks else ()

    def _marked(self, mark: int | None) -> ClaimedJob | None:
        if mark is None:
            return None
        return next((job for job in self.all() if token_mark(job.token) == mark), None)

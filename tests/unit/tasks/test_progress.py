import os
import time

import pytest

from engine.tasks.progress import Progress
from engine.workers.page import PageReader, PageWriter


@pytest.fixture
def progress():
    reader = PageReader()
    yield Progress(PageWriter(os.dup(reader.fd)))
    reader.close_fd()
    reader.close()


def still_s_until(progress, at_least_s):
    """Return how long it says to have stood still, once that is long enough to tell."""
    while (view := progress.view()).still_s < at_least_s:
        time.sleep(0.001)
    return view.still_s


def test_a_job_moves_when_it_begins_and_when_its_counter_does(progress):
    progress.begin("token")
    still_s_until(progress, 0.05)
    progress.advance(0, 10, "only a note")
    assert progress.view().still_s >= 0.05
    progress.advance(1, None, None)
    assert progress.view().still_s < 0.05
    still_s_until(progress, 0.05)
    progress.begin("another")
    assert progress.view().still_s < 0.05


def test_calls_are_no_progress_of_a_job_but_all_there_is_without_one(progress):
    progress.begin("token")
    still_s_until(progress, 0.05)
    progress.note_call()
    assert progress.view().still_s >= 0.05
    progress.end()
    assert progress.view().still_s < 0.05
    still_s_until(progress, 0.05)
    progress.note_call()
    assert progress.view().still_s < 0.05

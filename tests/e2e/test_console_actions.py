"""Every button of the Console, clicked in a real browser on a real engine, and what came of it."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from engine.console.actions import ACTIONS
from engine.learning.payloads import DETECT_DRIFT, TRAIN
from tests.support.console_browser import Visit, open_browser, visiting
from tests.support.console_world import ConsoleWorld, console_world
from tests.support.remote_world import eventually

PATIENCE_MS = 60_000
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def world(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleWorld]:
    with console_world(tmp_path_factory.mktemp("actions")) as opened:
        yield opened


@pytest.fixture
def visit(world: ConsoleWorld, browser: Browser) -> Iterator[Visit]:
    """Provide a page that has the token."""
    with visiting(browser, world.address) as opened:
        opened.go("overview")
        opened.page.evaluate("token => sessionStorage.setItem('trellis-token', token)", world.token)
        opened.page.reload()
        yield opened
        assert opened.complaints == []


def ask(world: ConsoleWorld, path: str) -> Any:
    return httpx.get(f"http://{world.address}{path}", timeout=30).raise_for_status().json()


def job_ids(world: ConsoleWorld, job_type: str) -> set[str]:
    jobs = ask(world, "/api/jobs")["jobs"]
    return {job["job_id"] for job in jobs if job["job_type"] == job_type}


def state_of(world: ConsoleWorld, job_id: str) -> str:
    return str(ask(world, f"/api/jobs/{job_id}")["state"])


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    eventually(lambda: condition() or None, PATIENCE_S)


def told(page: Page, text: str) -> None:
    expect(page.get_by_role("status")).to_contain_text(text, timeout=PATIENCE_MS)


def confirm(page: Page) -> None:
    page.get_by_role("dialog").locator("button.primary").click()


def test_a_job_is_cancelled_and_run_again(world: ConsoleWorld, visit: Visit) -> None:
    job_id = world.submit("sleep", seconds=600)
    visit.go(f"jobs/{job_id}")
    visit.page.get_by_role("button", name="Cancel job").click()
    confirm(visit.page)
    until(lambda: state_of(world, job_id) == "CANCELLED")
    visit.page.get_by_role("button", name="Retry job").click(timeout=PATIENCE_MS)
    until(lambda: ask(world, f"/api/jobs/{job_id}")["run"] == 2)
    visit.page.get_by_role("button", name="Cancel job").click(timeout=PATIENCE_MS)
    confirm(visit.page)
    until(lambda: state_of(world, job_id) == "CANCELLED")


def test_a_training_and_a_look_for_drift_are_started(world: ConsoleWorld, visit: Visit) -> None:
    visit.go("models")
    trainings, looks = job_ids(world, TRAIN), job_ids(world, DETECT_DRIFT)
    visit.page.get_by_role("button", name="Retrain buys").click(timeout=PATIENCE_MS)
    until(lambda: job_ids(world, TRAIN) - trainings)
    told(visit.page, "training")
    visit.page.get_by_role("button", name="Look for drift of buys").click()
    until(lambda: job_ids(world, DETECT_DRIFT) - looks)
    told(visit.page, "look for drift has been started")


def test_a_version_is_rolled_back_and_promoted_again(world: ConsoleWorld, visit: Visit) -> None:
    def champion() -> object:
        return ask(world, "/api/models/buys")["champion"]

    visit.go("models")
    assert champion() == 3
    visit.page.get_by_role("button", name="Roll back to 2").click(timeout=PATIENCE_MS)
    confirm(visit.page)
    until(lambda: champion() == 2)
    visit.page.get_by_role("button", name="Promote version 3 of buys").click(timeout=PATIENCE_MS)
    confirm(visit.page)
    until(lambda: champion() == 3)
    expect(visit.page.locator(".model-state")).to_contain_text("version 3 answers")


def test_a_refused_message_is_taken_in_and_another_stays_refused(
    world: ConsoleWorld, visit: Visit
) -> None:
    def pending() -> int:
        return int(ask(world, "/api/dead-letters")["pending"])

    before = pending()
    visit.find_message("world/0/9998").click()
    told(visit.page, "Still refused")
    visit.find_message("world/0/9999").click()
    told(visit.page, "The message has been taken in")
    until(lambda: ask(world, "/api/entity?key=990007&model=")["events"])
    assert before >= 10_000


def test_a_slot_is_drained_and_resumed_by_keyboard_alone(world: ConsoleWorld, visit: Visit) -> None:
    def state(slot: str) -> str:
        return str(next(one.state for one in world.workers() if one.slot == slot))

    page = visit.page
    visit.go("overview")
    until(lambda: state("any-1") == "idle")
    tab_to(page, "Drain any-1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Drain any-1?")
    page.keyboard.press("Escape")
    # The focus is back where it was, not at the page's beginning.
    assert focused(page) == "Drain any-1"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    until(lambda: state("any-1") == "drained")
    expect(page.locator('[data-slot="any-1"]')).to_contain_text("Taken out of work")
    visit.keep_picture("overview-drained")
    assert visit.violations() == []
    tab_to(page, "Resume any-1")
    page.keyboard.press("Enter")
    until(lambda: state("any-1") in ("starting", "idle", "running"))


def focused(page: Page) -> str:
    name = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
    return str(page.evaluate(name)).strip()


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has that name has the focus, as somebody without a mouse would."""
    expect(page.get_by_label(name)).to_be_visible(timeout=PATIENCE_MS)
    for _ in range(120):
        page.keyboard.press("Tab")
        if focused(page) == name:
            return
    raise AssertionError(f"Tab never comes to {name}")


def test_no_view_traps_the_keyboard(visit: Visit) -> None:
    for view in ("overview", "jobs", "features", "models", "drift/buys/look-011/views", "entity/7"):
        visit.go(view)
        visit.page.locator(".skip").focus()
        for _ in range(400):
            visit.page.keyboard.press("Tab")
            if visit.page.evaluate("document.activeElement === document.body"):
                break
        else:
            raise AssertionError(f"Tab never leaves {view}")


def test_all_workers_are_restarted(world: ConsoleWorld, visit: Visit) -> None:
    def pids() -> dict[str, int]:
        return {one.slot: one.pid for one in world.workers() if one.pid}

    until(lambda: all(one.state in ("idle", "running") for one in world.workers()))
    before = pids()
    visit.go("overview")
    visit.page.get_by_role("button", name="Restart workers").click()
    confirm(visit.page)
    told(visit.page, "replaced one after the other")
    until(lambda: any(pids().get(slot, pid) != pid for slot, pid in before.items()))


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_an_action_takes_the_token_and_the_page_s_own_origin(
    world: ConsoleWorld, action: str
) -> None:
    right = {"authorization": f"Bearer {world.token}"}
    with httpx.Client(base_url=f"http://{world.address}") as client:

        def answer(**headers: str) -> int:
            told = {"content-type": "application/json", **headers}
            return client.post(f"/api/actions/{action}", content="{", headers=told).status_code

        assert answer() == 401
        assert answer(authorization="Bearer wrong") == 401
        assert answer(**right, origin="https://evil.example") == 403
        assert answer(**right, origin="null") == 403
        assert answer(**right, **{"sec-fetch-site": "cross-site"}) == 403
        # With all that is asked for, it is the body that is refused.
        assert answer(**right, origin=f"http://{world.address}") == 400
        assert client.get(f"/api/actions/{action}", headers=right).status_code in (404, 405)

"""The Console behind something that holds back the stream, and lets other answers through."""

import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.support.console_browser import open_browser, visiting
from tests.support.engine_process import EngineProcess
from tests.support.http_proxy import run_http_proxy

PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def engine(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    with EngineProcess(tmp_path_factory.mktemp("proxy") / "data") as opened:
        yield opened


def port_of(engine: EngineProcess) -> int:
    return int(engine.address("metrics").rpartition(":")[2])


def test_a_page_behind_a_proxy_that_buffers_asks_instead_and_stays_live(
    engine: EngineProcess, browser: Browser
) -> None:
    # The proxy passes an answer on once it is whole; the stream never is.
    with (
        run_http_proxy(port_of(engine)) as proxy,
        visiting(browser, f"127.0.0.1:{proxy.port}") as visit,
    ):
        visit.go("overview")
        link = visit.page.locator(".link-state")
        expect(link).to_contain_text("live, polled")
        shown = link.inner_text()
        expect(link).not_to_have_text(shown, timeout=PATIENCE_MS)
        expect(visit.page.locator(".lost")).to_have_count(0)
        assert proxy.requests.count("GET /api/pulse") > 1
        # Whole answers pass, so that the rest of the page works as ever.
        visit.go("models")
        assert visit.complaints == []


def test_a_page_goes_back_to_the_stream_once_it_comes(
    engine: EngineProcess, browser: Browser
) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    with visiting(browser, engine.address("metrics")) as visit:
        visit.page.route("**/api/stream", hold)
        visit.go("overview")
        link = visit.page.locator(".link-state")
        expect(link).to_contain_text("live, polled")
        visit.page.unroute("**/api/stream")
        expect(link).to_contain_text("live ·", timeout=PATIENCE_MS)
        assert held


def test_a_refusal_of_the_stream_alone_leaves_the_page_live(
    engine: EngineProcess, browser: Browser
) -> None:
    with visiting(browser, engine.address("metrics")) as visit:
        visit.page.route("**/api/stream", lambda route: route.fulfill(status=504, body="late"))
        visit.go("overview")
        expect(visit.page.locator(".link-state")).to_contain_text("live, polled")


def test_an_engine_that_stands_still_is_told_also_while_polled(
    engine: EngineProcess, browser: Browser
) -> None:
    with visiting(browser, engine.address("metrics")) as visit:
        visit.go("overview")
        engine.signal(signal.SIGSTOP)
        try:
            lost = visit.page.locator(".lost")
            expect(lost).to_contain_text("does not answer", timeout=PATIENCE_MS)
        finally:
            engine.signal(signal.SIGCONT)
        expect(visit.page.locator(".link-state")).to_contain_text("live", timeout=PATIENCE_MS)
        expect(lost).to_have_count(0)

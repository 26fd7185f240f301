"""The Console with hundreds of models and features: what is drawn stays small, and can be found."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support.console_browser import open_browser, visiting
from tests.support.engine_process import EngineProcess

MODELS, FEATURES = 200, 500
LONG = "a_name_" + "that_goes_on_and_on_" * 2 + "to_its_very_end"
MOST_ELEMENTS = 12_000
MOST_TASK_MS = 1_500
"""Of one drawing, on a machine whose cores other tests hold most of the time."""
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


def write_configs(folder: Path) -> Path:
    folder.mkdir()
    names = [LONG, *(f"feature_{place:03}" for place in range(1, FEATURES))]
    source = "from: events, where: {action: view}, aggregate: count"
    features = "\n".join(
        f"  {name}: {{{source}, window: {60 + place}m}}" for place, name in enumerate(names)
    )
    models = "\n".join(
        f"  model_{place:03}: {{entity: user, features: [{names[place]}, {names[place + 1]}]}}"
        for place in range(MODELS)
    )
    (folder / "app.yaml").write_text("{}")
    (folder / "features.yaml").write_text(
        f"entities:\n  user: {{key: user_id, type: int64}}\nfeatures:\n{features}\n"
    )
    (folder / "models.yaml").write_text(f"models:\n{models}\n")
    return folder


def test_hundreds_of_models_and_features_can_be_walked_and_searched(
    browser: Browser, tmp_path: Path
) -> None:
    configs = write_configs(tmp_path / "configs")
    with (
        EngineProcess(tmp_path / "data", config_dir=configs) as engine,
        visiting(browser, engine.address("metrics"), width=390, height=844) as visit,
    ):
        page = visit.page
        page.add_init_script(
            "window.longest = 0; new PerformanceObserver((list) => { for (const one of"
            " list.getEntries()) window.longest = Math.max(window.longest, one.duration) })"
            ".observe({type: 'longtask', buffered: true})"
        )
        for view, rows in (("features", FEATURES), ("models", MODELS)):
            visit.go(view)
            table = page.locator(".cards tbody").first
            expect(table.locator("> tr")).to_have_count(100, timeout=PATIENCE_MS)
            assert page.evaluate("window.longest") < MOST_TASK_MS
            page.get_by_role("link", name="Show all").click()
            expect(table.locator("> tr")).to_have_count(rows, timeout=PATIENCE_MS)
            assert page.evaluate("document.querySelectorAll('*').length") < MOST_ELEMENTS
            wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(wider) == 0
            page.get_by_role("searchbox").fill("042" if view == "models" else LONG[:20])
            expect(table.locator("> tr")).to_have_count(1)
            visit.keep_picture(f"{view}-many")
        page.get_by_role("link", name="model_042").click()
        expect(page.locator("h2", has_text="model_042")).to_be_visible()
        expect(page.get_by_role("searchbox")).to_have_value("042")
        assert visit.complaints == []

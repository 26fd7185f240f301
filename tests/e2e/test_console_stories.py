"""What the Console tells of a failure: what happened, why, what became of it, what to do."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from playwright.sync_api import Browser, Locator, expect

from proto.trellis.v1 import features_pb2
from tests.support.console_browser import Visit, open_browser, visiting
from tests.support.console_world import MODELS, ConsoleWorld, console_world
from tests.support.engine_process import EngineProcess
from tests.support.event_source import EventSource
from tests.support.remote_world import eventually
from tests.support.serving_engine import FEATURES
from tests.support.trained_version import add_versions

PATIENCE_MS = 60_000
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def world(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleWorld]:
    with console_world(tmp_path_factory.mktemp("stories")) as opened:
        yield opened


@pytest.fixture
def visit(world: ConsoleWorld, browser: Browser) -> Iterator[Visit]:
    with visiting(browser, world.address) as opened:
        opened.go("overview")
        yield opened
        assert opened.complaints == []


def story_of(visit: Visit, job_id: str) -> Locator:
    return visit.page.locator(".story > li", has=visit.page.get_by_title(job_id))


def ended(world: ConsoleWorld, job_id: str) -> Any:
    return lambda: world.job(job_id)["state"] == "DEAD" or None


def test_a_job_that_ends_its_worker_again_and_again_is_told_as_given_up(
    world: ConsoleWorld, visit: Visit
) -> None:
    job_id = world.submit("die")
    title = visit.page.locator("h1")
    expect(title).to_contain_text("A job was given up", timeout=PATIENCE_MS)
    headline = visit.page.locator(".headline")
    expect(headline).to_contain_text("died: killed by SIGKILL")
    expect(headline).to_contain_text("is not tried again by itself")
    attempts = story_of(visit, job_id)
    expect(attempts).to_have_count(3)
    # Which of them was the last is told once.
    expect(attempts.filter(has_text="mend the cause, then retry it")).to_have_count(1)
    expect(attempts.first).to_contain_text("its job did")
    visit.keep_picture("overview-given-up")
    visit.page.get_by_role("link", name="See the job").click()
    expect(visit.page.locator(".note.failed")).to_contain_text("3 of its attempts failed")
    assert visit.faults() == []
    assert visit.violations() == []


def test_a_loop_is_told_with_where_it_was_and_what_to_do(world: ConsoleWorld, visit: Visit) -> None:
    job_id = world.submit("loop")
    story = story_of(visit, job_id).first
    expect(story).to_contain_text("made no progress with its job", timeout=PATIENCE_MS)
    expect(story).to_contain_text("It was in loop (job_bodies.py")
    expect(story).to_contain_text("job.advance()")
    visit.go(f"jobs/{job_id}")
    expect(visit.page.locator(".story > li").last).to_contain_text("It was in loop (job_bodies.py")


def test_too_much_memory_is_told_in_mebibytes_with_the_setting(
    world: ConsoleWorld, visit: Visit
) -> None:
    job_id = world.submit("take_memory", mib=700, seconds=60)
    story = story_of(visit, job_id).first
    expect(story).to_contain_text("took more memory than it may", timeout=PATIENCE_MS)
    expect(story).to_contain_text(re.compile(r": \d{3} MiB in use"))
    expect(story).to_contain_text("workers.memory_hard_bytes")


def test_a_handler_that_cannot_be_imported_is_told_on_the_page_of_its_job(
    world: ConsoleWorld, visit: Visit
) -> None:
    job_id = world.submit("nowhere")
    eventually(ended(world, job_id), PATIENCE_S)
    visit.go(f"jobs/{job_id}")
    expect(visit.page.locator("main")).to_contain_text("ModuleNotFoundError")
    expect(visit.page.locator(".note.failed")).to_contain_text("retry it")
    # Its workers live on: nothing is told of them, and the overview still counts the job.
    visit.go("overview")
    expect(story_of(visit, job_id)).to_have_count(0)


def test_an_outage_of_redis_is_told_when_it_is_over(world: ConsoleWorld, visit: Visit) -> None:
    children = psutil.Process(world.engine.pid).children()
    [redis] = [child for child in children if "redis-server" in child.name()]
    os.kill(redis.pid, signal.SIGKILL)
    parts = visit.page.locator("section", has=visit.page.get_by_role("heading", name="parts"))
    expect(parts).to_contain_text("Redis", timeout=PATIENCE_MS)
    expect(parts).to_contain_text(re.compile("for .*s: .*killed by SIGKILL"), timeout=PATIENCE_MS)


def test_refused_messages_are_counted_by_reason(visit: Visit) -> None:
    visit.go("jobs")
    reasons = visit.page.locator(".panel-text", has_text="By reason")
    expect(reasons).to_contain_text(re.compile("invalid_json (10,0|9,9)"), timeout=PATIENCE_MS)
    expect(visit.page.locator("td", has_text="trellis.events/").first).to_be_visible()


def test_a_flood_of_refused_messages_is_told_with_its_share(
    world: ConsoleWorld, visit: Visit
) -> None:
    ready = world.engine.ready
    with EventSource(
        ready["kafka"], ready["topic"], seed=3, events_per_second=300, malformed_rate=0.5
    ):
        title = visit.page.locator("h1")
        expect(title).to_contain_text("messages are refused", timeout=PATIENCE_MS)
        headline = visit.page.locator(".headline")
        expect(headline).to_contain_text(re.compile(r"a second, \d+.* % of what comes"))
        visit.keep_picture("overview-flood")


def test_the_latest_look_for_drift_is_in_view_on_a_phone(
    world: ConsoleWorld, browser: Browser
) -> None:
    with visiting(browser, world.address, width=390, height=844) as visit:
        visit.go("drift")
        cells = visit.page.locator(".heat tbody tr").first.locator("a")
        expect(cells.last).to_be_in_viewport(ratio=1)
        expect(visit.page.locator(".heat tbody th").first).to_be_in_viewport(ratio=1)


def test_an_artifact_that_is_not_what_was_registered_is_told(
    browser: Browser, tmp_path: Path
) -> None:
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "app.yaml").write_text("{}")
    (configs / "features.yaml").write_text(FEATURES)
    (configs / "models.yaml").write_text(MODELS)
    add_versions(tmp_path / "data", configs, "buys", change=lambda content: content[:-1] + b"?")
    with (
        EngineProcess(tmp_path / "data", config_dir=configs) as engine,
        grpc.insecure_channel(engine.address("service_b")) as channel,
        visiting(browser, engine.address("metrics")) as visit,
    ):
        visit.go("overview")
        predict = channel.unary_unary(
            "/trellis.v1.FeatureService/Predict",
            request_serializer=features_pb2.PredictRequest.SerializeToString,
            response_deserializer=features_pb2.PredictResponse.FromString,
        )
        with pytest.raises(grpc.RpcError) as refused:
            predict(features_pb2.PredictRequest(model="buys", entity_key=1), timeout=60)
        assert refused.value.code() is grpc.StatusCode.DATA_LOSS
        title = visit.page.locator("h1")
        expect(title).to_contain_text("artifacts of models are refused", timeout=PATIENCE_MS)
        expect(visit.page.locator(".headline")).to_contain_text("roll back under Models")
        visit.keep_picture("overview-artifact")

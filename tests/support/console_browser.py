"""A headless browser that looks at the Console, and notes what a person would not see."""

import asyncio
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
PICTURES = Path(os.environ.get("TRELLIS_PICTURES") or ROOT / "artifacts" / "console")
_MOST_PAGES = 20
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

_AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
_CHECKS = (Path(__file__).parent / "console_checks.js").read_text(encoding="utf-8")


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Run a browser; skip the test if there is none and the reason is known."""
    reason = os.environ.get("WITHOUT_CHROMIUM")
    executable = shutil.which("chromium")
    if reason:
        pytest.skip(f"WITHOUT_CHROMIUM: {reason}")
    assert executable, "no chromium; ops/chromium.sh installs it"
    with _plain_loops(), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, headless=True, args=list(_FLAGS)
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def _plain_loops() -> Iterator[None]:
    """Have asyncio's own loops for the browser: where trio-asyncio is imported, they are Trio's,
    which cannot be entered again as Playwright does."""
    asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
    try:
        yield
    finally:
        asyncio.set_event_loop_policy(None)


class Visit:
    """A page in the browser, and all it asked for and complained about."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def go(self, view: str) -> None:
        """Show a view and wait until it is live and nothing is being asked for."""
        self.page.goto(f"http://{self.address}/#{view}")
        self.page.locator(".link-state", has_text="live").wait_for(timeout=20_000)
        self.page.locator(".loading").first.wait_for(state="detached", timeout=20_000)

    def find_message(self, dead_letter_id: str) -> Locator:
        """Return the button of a refused message, on whatever page of the list it is."""
        self.go("jobs")
        button = self.page.get_by_role("button", name=f"Take in message {dead_letter_id}")
        for _ in range(_MOST_PAGES):
            if button.count():
                break
            self.page.get_by_role("link", name="Older messages").click()
            self.page.locator(".loading").first.wait_for(state="detached", timeout=20_000)
        return button

    def keep_picture(self, name: str) -> Path:
        """Keep what is shown, for people to look at."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}.png"
        self.page.screenshot(path=path, full_page=True)
        return path

    def outside_requests(self) -> list[str]:
        """Return what was asked of anybody else than the engine."""
        return [url for url in self.requests if not url.startswith(f"http://{self.address}/")]

    def faults(self) -> list[str]:
        """Return what is wrong for those who cannot see well, or at all."""
        return list(self.page.evaluate(_CHECKS))

    def violations(self) -> list[str]:
        """Return what axe-core finds that is serious or critical."""
        # Evaluated from outside: the page's policy lets no other script in.
        self.page.evaluate(f"() => {{ {_AXE} }}")
        found = self.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {node['html'][:160]}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    def _note(self, message: Any) -> None:
        # A refusal that a test asks for is told here, too.
        if message.type in ("error", "warning") and not re.search(r"status of 4\d\d", message.text):
            self.complaints.append(message.text)


@contextmanager
def visiting(
    browser: Browser,
    address: str,
    *,
    width: int = 1280,
    height: int = 900,
    dark: bool = False,
) -> Iterator[Visit]:
    """Open a page of a fresh profile."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    try:
        yield Visit(context.new_page(), address)
    finally:
        context.close()

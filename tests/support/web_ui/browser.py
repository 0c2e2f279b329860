"""A browser that looks at the web UI and presses its buttons."""

import re
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import pytest

from web_ui.server import Served

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
PATIENCE = 60_000


def chromium() -> str:
    """Return where the browser is; where there is none, the test is skipped and says what to install."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium is on PATH; as root `make test` installs it, else: apt-get install chromium")
    return found


class Page:
    """A page of the UI; whatever it asked of other machines is in `abroad`, and its own errors in `errors`."""

    def __init__(self, served: Served, page: Any) -> None:
        self.served, self.page = served, page
        self.abroad: set[str] = set()
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))

    def _asked(self, url: str) -> None:
        if not url.startswith((self.served.url, "data:", "blob:", "ws://127.0.0.1")):
            self.abroad.add(url)

    def go(self, path: str) -> None:
        """Open a path of the UI."""
        self.page.goto(f"{self.served.url}/{path}", wait_until="domcontentloaded")

    def asset(self, key: str, view: str = "overview") -> None:
        """Open the page of an asset."""
        self.go(f"assets/{key}?view={view}")

    def see(self, text: str) -> Any:
        """Wait until a text is on the page; return the first element that has it."""
        found = self.page.get_by_text(text, exact=True).first
        found.wait_for(timeout=PATIENCE)
        return found

    def press(self, button: str) -> None:
        """Press the first button that begins with these words, when it can be pressed."""
        self.page.get_by_role("button", name=button).first.click(timeout=PATIENCE)

    def is_green(self, title: str, other: str) -> bool:
        """Wait until the status block of a title says when; say whether it says so in green.

        Elsewhere on the page are the times of other things: the block is what has the title, and not that of another.
        """
        block = self.see(title).locator(f"xpath=ancestor::div[contains(., ' ago')][1][not(contains(., '{other}'))]")
        said = block.get_by_text(" ago")
        said.first.wait_for(timeout=PATIENCE)
        deadline = time.monotonic() + PATIENCE / 1000
        while time.monotonic() < deadline:  # the colour comes after the time
            red, green, blue = map(int, re.findall(r"\d+", said.last.evaluate("e => getComputedStyle(e).color"))[:3])
            if green > 1.2 * max(red, blue):
                return True
            self.wait(200)
        return False

    def picture(self, path: Path) -> None:
        """Keep what is to be seen."""
        self.page.wait_for_timeout(700)  # what moves has come to rest
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)

    def wait(self, milliseconds: int) -> None:
        """Wait; the page goes on meanwhile, which it does not in `time.sleep`."""
        self.page.wait_for_timeout(milliseconds)


@contextmanager
def browsing(served: Served) -> Iterator[Page]:
    """Open a page in a browser of its own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make venv")
    program = chromium()
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=QUIET)
        try:
            yield Page(served, browser.new_page(viewport={"width": 1400, "height": 860}))
        finally:
            browser.close()

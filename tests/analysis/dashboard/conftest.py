"""One browser for these modules: while it is there, an event loop runs that tests of others could not bear."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from analysis.dashboard import page as dashboard
from tests.analysis import payloads
from tests.analysis.dashboard.browsing import CHROMIUM, Opened


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on the PATH")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def opened(browser, tmp_path) -> Iterator[Callable[..., Opened]]:
    """Opens a payload from disk; in the end the page has complained of nothing and asked for nothing."""
    pages: list[tuple[Opened, str]] = []

    def opening(payload: dict, width: int = 1200, height: int = 800, **more: Any) -> Opened:
        file = tmp_path / f"{len(pages)}.html"
        file.write_text(dashboard.html(payload), "utf-8")
        found = Opened(browser.new_page(viewport={"width": width, "height": height}, **more))
        pages.append((found, file.as_uri()))
        return found.go(file.as_uri())

    yield opening
    for found, address in pages:
        found.page.close()
        assert found.complaints == []
        assert [url for url in found.requests if not url.startswith("data:")] == [address]


@pytest.fixture(scope="package")
def shared(browser, tmp_path_factory) -> Iterator[tuple[Opened, dict]]:
    """One page for tests that set all that they read."""
    file = tmp_path_factory.mktemp("page") / "shared.html"
    sweep = payloads.sweep()
    file.write_text(dashboard.html(sweep), "utf-8")
    rights = ["clipboard-read", "clipboard-write"]
    found = Opened(browser.new_page(viewport={"width": 1200, "height": 800}, permissions=rights))
    yield found.go(file.as_uri()), sweep
    found.page.close()
    assert found.complaints == []

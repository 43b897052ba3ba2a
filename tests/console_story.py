"""The demo's story, followed by the links of the console in Chromium: what was refused, held back, promoted and rolled back."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from http_server import Up, up

sync_api = pytest.importorskip("playwright.sync_api")


def followed(folder: Path) -> None:
    """Fail where a part of the story is not found by its links, or a page has an error."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed")
    with (
        up(folder, "--no-reconcile", "--clock", str(folder / "clock")) as server,
        sync_api.sync_playwright() as browsers,
    ):
        browser = browsers.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page, wrong = browser.new_page(), list[str]()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.goto(f"http://127.0.0.1:{server.port}/#token={server.token}")
        page.wait_for_selector("#loop svg")
        for part in (_refused, _quarantined, _promoted, _rolled_back):
            part(page, server)
        browser.close()
        assert not wrong


def _refused(page: Any, _server: Up) -> None:
    """A candidate that did not win: from the picture to the model, its gate, and the version."""
    page.click("#loop svg a:has-text('late') >> nth=0")
    page.wait_for_selector("h1:has-text('late')")
    row = page.locator("tr", has=page.locator("text=refused")).first
    assert "The candidate" in row.inner_text() or "minimum" in row.inner_text()
    number = row.locator("a").first.inner_text()
    row.locator("a").first.click()
    page.wait_for_selector(f"h1:has-text('{number}')")


def _quarantined(page: Any, _server: Up) -> None:
    """The bad day: from the list to the dataset, its reasons, and the run that met it."""
    page.click("nav >> text=Datasets")
    page.click("main >> text=departures")
    page.wait_for_selector("h1:has-text('departures')")
    assert "956" in page.inner_text("main")
    page.click("nav >> text=Runs")
    page.fill("#q", "departures")
    page.click("text=Search")
    page.wait_for_selector("td:has-text('collect dataset departures')")


def _promoted(page: Any, _server: Up) -> None:
    """A version that won, and the environment in which a change was tried."""
    page.click("nav >> text=Environments")
    assert "dev" in page.inner_text("#environments")
    page.click("#environments a:has-text('dev')")
    page.wait_for_selector("text=Generations of dev")
    page.click("nav >> text=Audit")
    page.fill("#q", "promote")
    page.click("text=Search")
    page.wait_for_selector("td:has-text('promote')")


def _rolled_back(page: Any, server: Up) -> None:
    """A rollback: its generation, what it changed, and what going back once more would change."""
    page.goto(f"http://127.0.0.1:{server.port}/environments")
    page.locator("#generations tr", has=page.locator("text=rolled back to generation")).first.locator(
        "a"
    ).first.click()
    page.wait_for_selector("h1:has-text('Generation')")
    assert "late" in page.inner_text("#apart")
    page.click("text=Roll back to it")
    page.wait_for_selector("text=ROLLBACK ENVIRONMENT prod TO GENERATION")
    assert page.locator("form button.main").count() == 1

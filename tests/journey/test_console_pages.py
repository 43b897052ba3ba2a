"""The console in Chromium, over one project and one server: every page, at a desk and on a phone, and what is done from them."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import http_server
import shop_project
from http_server import Up, up, wait
from tilth.app.project import Project
from tilth.core.errors import StateChangedError
from tilth.interfaces.console.places import PLACES

sync_api = pytest.importorskip("playwright.sync_api")

EVIL = '<img src=x onerror="document.title=1">'
PAGES = {
    "/": ("/", "Needs attention"),
    "/datasets": ("/datasets", "deliveries"),
    "/datasets/<name>": ("/datasets/deliveries", "Refreshes and snapshots"),
    "/models": ("/models", "roc_auc"),
    "/models/<name>": ("/models/late", "version 2 serves"),
    "/models/<name>/versions/<version>": ("/models/late/versions/1", "Columns that it was given"),
    "/models/<name>/compare": ("/models/late/compare?first=1&second=2", "Gate of version 2 against 1"),
    "/models/<name>/predict": (
        "/models/late/predict?in.ordered_at=2024-04-30T20:00:00&in.carrier=slow&in.distance=50.5",
        "add up to",
    ),
    "/acts/<act>": ("/acts/refresh?name=deliveries&environment=prod&seen=1", "REFRESH DATASET deliveries"),
}
"""A path of each place, and words that stand there."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose model has two versions, and a check that names a text which would be a tag."""
    folder = tmp_path_factory.mktemp("console") / "shop"
    declared = http_server.QUICK.replace(
        "COUNT(*) >= 100", f"carrier <> '{EVIL}' ON FAIL WARN,\n    COUNT(*) >= 100"
    )
    http_server.applied(folder, declared)
    made = shop_project.opened(folder)
    shop_project.trained_again(made, "late")
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(project: Project) -> Iterator[Up]:
    clock = Path(project.root) / "clock"
    clock.write_text("2024-04-30T00:00:00Z")
    with up(Path(project.root), "--no-reconcile", "--clock", str(clock)) as found:
        found.predict()
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed")
    with sync_api.sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(server: Up, chromium: Any) -> Iterator[Any]:
    """A page that is signed in as the owner; what went wrong on it fails the test."""
    made = chromium.new_context().new_page()
    wrong: list[str] = []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    made.goto(f"{_base(server)}/#token={server.token}")
    made.wait_for_selector("text=Needs attention")
    yield made
    made.context.close()
    assert not wrong


def _base(server: Up) -> str:
    return f"http://127.0.0.1:{server.port}"


def test_every_place_is_looked_at_here() -> None:
    assert set(PAGES) == set(PLACES)


@pytest.mark.parametrize("place", PAGES)
def test_a_page_shows_its_words_fits_a_phone_and_holds_text_as_text(
    page: Any, server: Up, place: str
) -> None:
    path, words = PAGES[place]
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(_base(server) + path)
        assert words in page.locator("main").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert page.locator("img").count() == 0
        assert page.title() != "1"
        assert page.locator("style, script:not([src]), [style]").count() == 0
        alone = "[...document.getElementById('live').children].filter(part => !part.id).length"
        assert page.evaluate(alone) == 0
    shown = page.locator("#foot code").inner_text()
    assert server.ask("POST", "/sql", {"sql": shown}).status == 200, shown


REFUSED = [
    ("/nowhere", 404, "error"),
    ("/?environment=nope", 404, "There is no environment `nope`."),
    ("/?environment=..%2F", 404, "There is no environment"),
    ("/models/" + "a" * 63, 404, "There is no model"),
    ("/models/%3Cimg%20onerror%3D1%3E", 404, "&lt;img onerror=1&gt;"),
    ("/datasets/late", 404, "There is no dataset"),
    ("/models/late/versions/99", 404, "Versions: 1, 2"),
    ("/models/late/versions/1e3", 422, "is not a number"),
    ("/models/late/compare?first=1&second=zz", 422, "is not a number"),
    ("/acts/nope", 404, "There is no act"),
    ("/acts/refresh?name=%3Cimg%3E", 422, "&lt;img&gt;"),
    ("/models/late/predict?in.distance=far", 200, "must be a number"),
]


@pytest.mark.parametrize(("path", "status", "said"), REFUSED)
def test_what_is_not_there_or_no_name_is_told(server: Up, path: str, status: int, said: str) -> None:
    found = server.ask("GET", path)
    assert found.status == status
    assert said in found.body.decode()
    assert b"<img" not in found.body
    assert str(server.folder).encode() not in found.body


def test_the_token_leaves_the_address_and_no_page_is_given_without_a_session(
    page: Any, server: Up, chromium: Any
) -> None:
    assert "token" not in page.url
    other = chromium.new_context().new_page()
    other.goto(_base(server) + "/?environment=prod")
    assert other.locator("input[name=token]").count() == 1
    other.fill("input[name=token]", "x" * 40)
    other.click("text=Sign in >> nth=-1")
    assert "The token is wrong." in other.inner_text("main")
    other.fill("input[name=token]", server.token)
    other.click("button")
    assert other.url.endswith("/?environment=prod")
    other.context.close()


def test_pages_are_read_without_scripts(server: Up, chromium: Any) -> None:
    made = chromium.new_context(java_script_enabled=False).new_page()
    made.goto(_base(server))
    made.fill("input[name=token]", server.token)
    made.click("button")
    assert "All that is promised holds." in made.inner_text("main")
    made.context.close()


def test_a_reader_sees_what_an_act_would_do_and_may_not_do_it(
    server: Up, chromium: Any, project: Project
) -> None:
    given = str(project.sql("CREATE TOKEN 'ro' FOR reader").facts["token"])
    headers = {"Authorization": f"Bearer {given}"}
    wait(lambda: server.ask("GET", "/status", headers=headers, token=False).status == 200)
    made = chromium.new_context().new_page()
    made.goto(f"{_base(server)}/#token={given}")
    made.wait_for_selector("text=token:ro (reader)")
    made.goto(_base(server) + PAGES["/acts/<act>"][0])
    assert "This needs somebody who may operate: sign in as owner." in made.inner_text("main")
    assert made.locator("main form").count() == 0
    project.sql("DROP TOKEN 'ro'")
    made.wait_for_selector("text=The session ended")
    made.context.close()


def test_an_act_is_asked_once_done_and_audited_and_an_old_page_does_nothing(
    page: Any, server: Up, project: Project
) -> None:
    before = project.generations(limit=1)[0].number
    path = f"/acts/retrain?name=late&environment=prod&seen={before}"
    page.goto(_base(server) + path)
    other = page.context.new_page()
    other.goto(_base(server) + path)
    page.click("button.main")
    page.wait_for_selector("#said >> text=/RETRAIN MODEL late: (?!under way)/", timeout=60_000)
    assert page.locator("#said > p").count() == 1
    page.goto(
        _base(server)
        + f"/acts/roll_back?environment=prod&generation=1&seen={project.generations(limit=1)[0].number}"
    )
    page.click("button.main")
    page.wait_for_selector("#said >> text=ROLLBACK ENVIRONMENT prod TO GENERATION 1")
    after = project.generations(limit=1)[0].number
    assert after > before
    assert "token:project" in str(project.work().state.table("audit")[1])
    answers: list[int] = []
    other.on("response", lambda a: answers.append(a.status) if a.request.method == "POST" else None)
    other.click("button.main")
    other.wait_for_selector(f"text=/Nothing was done: .*generation {after}/")
    assert answers == [409]
    assert "token:project" in other.inner_text("main")
    assert project.generations(limit=1)[0].number == after
    other.close()
    page.evaluate("0")


def test_a_page_follows_what_happens_and_the_death_of_the_process_that_draws_it(
    page: Any, server: Up, project: Project
) -> None:
    page.evaluate("window.same = 1")
    number = project.rollback("prod")
    page.wait_for_selector(f"#health >> text=generation {number}")
    assert page.evaluate("window.same") == 1  # it was not loaded anew
    server.predict()
    page.wait_for_selector("#endpoints >> text=/[2-9] answered/", timeout=15_000)
    drawers = [
        p
        for p in _children(server.process.pid)
        if b"console.child" in Path(f"/proc/{p}/cmdline").read_bytes()
    ]
    assert len(drawers) == 1
    os.kill(drawers[0], signal.SIGKILL)
    wait(lambda: drawers[0] not in _children(server.process.pid))
    page.reload()
    page.wait_for_selector("text=Needs attention")


def test_what_draws_pages_cannot_change_what_is_remembered(project: Project) -> None:
    with Project(project.root, project.clock, looks=True) as looking:
        before = looking.generations()
        with pytest.raises(StateChangedError, match="only looks"):
            looking.rollback("prod")
        with pytest.raises(StateChangedError, match="only looks"):
            looking.sql("RETRAIN MODEL late USING (seed = 3)")
        assert looking.generations() == before


def _children(parent: int) -> list[int]:
    return [
        int(n)
        for task in Path(f"/proc/{parent}/task").iterdir()
        for n in (task / "children").read_text().split()
    ]

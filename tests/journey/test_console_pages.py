"""The console in Chromium, over one project and one server: every page, at a desk and on a phone, and what is done from them."""

import os
import shutil
import signal
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
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
    "/endpoints": ("/endpoints", "late_api"),
    "/endpoints/<name>": ("/endpoints/late_api?span=7d", "Training promised roc_auc"),
    "/environments": ("/environments?plan=1", "Nothing to do: prod is as declared"),
    "/generations/<number>": ("/generations/2", "What differs from generation 1"),
    "/query": ("/query?sql=SELECT+1", "What can be asked"),
    "/runs": ("/runs", "collect dataset deliveries"),
    "/runs/<run>": ("/runs/1", "The audit chain in its time"),
    "/jobs": ("/jobs", "No job is declared"),
    "/notices": ("/notices", "when what stands in prod was made"),
    "/audit": ("/audit", "each row seals the one before it"),
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
    assert not made.apply("dev").refusals
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
    made.on(
        "console",
        lambda said: wrong.append(said.text) if said.type == "error" and not _refused(said) else None,
    )
    made.goto(f"{_base(server)}/#token={server.token}")
    made.wait_for_selector("text=Needs attention")
    yield made
    made.context.close()
    assert not wrong


def _refused(said: Any) -> bool:
    """A statement that was answered with an error, which the page tells and the browser notes."""
    return str(said.location.get("url", "")).endswith("/sql")


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


DARK = frozenset(
    {"/", "/models/<name>/versions/<version>", "/endpoints/<name>", "/query"}
)  # where colours are


def test_pages_can_be_used_by_keyboard_and_screen_reader(page: Any, server: Up) -> None:
    """No finding of axe that is serious or critical: all pages in light, those with colours in dark too."""
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    wrong = []
    for scheme, places in (("light", PAGES), ("dark", DARK)):
        page.emulate_media(color_scheme=scheme)
        for place in places:
            page.goto(_base(server) + PAGES[place][0])
            page.evaluate(axe)
            found = page.evaluate("axe.run()")["violations"]
            wrong += [
                (place, scheme, v["id"], v["nodes"][0]["html"])
                for v in found
                if v["impact"] in ("serious", "critical")
            ]
    assert wrong == []


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
    key = page.locator("main input[name=key]").get_attribute("value")
    odd = {"key": key, "name": "late", "environment": "prod", "seen": "9" * 5000}
    assert page.request.post(_base(server) + "/acts/retrain", form=odd, max_redirects=0).status == 409
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


COUNTS = "SELECT carrier, count(*) AS n, avg(distance) AS d FROM deliveries GROUP BY carrier ORDER BY 1"
ASKED: list[tuple[str, str, str]] = [
    (COUNTS, "table", "1972"),
    ("SELECT carrier FROM deliveries LIMIT 1500", "table", ""),
    ("SELECT NULL AS a, ['x', 'y]'] AS b, '\"],[' AS c", "table", '["x","y]"]'),
    ("SELECT 1 WHERE false", "table", ""),
    ("SELECT cariers FROM deliveries", "pre", "^^^^^^^"),
    ("SELEC 1", "p.bad", "does not begin a statement"),
    ("DESCRIBE late", "#answer > *", ""),
]


@pytest.mark.parametrize(("text", "where", "words"), ASKED, ids=lambda value: str(value)[:30])
def test_a_statement_is_answered_where_it_is_typed(
    page: Any, server: Up, text: str, where: str, words: str
) -> None:
    page.goto(_base(server) + "/query")
    page.fill("#sql", text)
    page.press("#sql", "Control+Enter")
    page.wait_for_selector("#asked:text-matches('in [0-9.]+ s|after [0-9.]+ s')")
    assert page.locator("#answer").locator(where.removeprefix("#answer > ")).count() >= 1
    assert words in page.inner_text("#answer")


def test_a_result_is_drawn_downloaded_and_listed(page: Any, server: Up) -> None:
    page.goto(_base(server) + "/query")
    page.fill("#sql", COUNTS)
    page.click("#run")
    page.click("#drawn button")
    page.wait_for_selector("#drawn svg rect.bar")
    with page.expect_download() as got:
        page.click("#parquet")
    table = pq.read_table(got.value.path())
    with page.expect_download() as got:
        page.click("#csv")
    lines = Path(got.value.path()).read_text().splitlines()
    assert table.column_names == lines[0].split(",") == ["carrier", "n", "d"]
    assert [str(n) for n in table["n"].to_pylist()] == [line.split(",")[1] for line in lines[1:]]
    page.wait_for_selector("#before >> text=GROUP BY carrier")


def test_a_statement_is_cancelled_and_names_are_completed(page: Any, server: Up) -> None:
    page.goto(_base(server) + "/query")
    page.fill(
        "#sql",
        "SELECT count(*) FROM deliveries a, deliveries b, deliveries c WHERE a.distance + b.distance < c.distance",
    )
    page.click("#run")
    page.click("#cancel")
    page.wait_for_selector("#asked:text-matches('cancelled')")
    page.fill("#sql", "SELECT ")
    page.type("#sql", "deli")
    page.wait_for_selector("#offers li")
    page.press("#sql", "Tab")
    page.type("#sql", " d WHERE d.carr")
    page.press("#sql", "Tab")
    assert page.input_value("#sql") == "SELECT deliveries d WHERE d.carrier"


def test_sql_is_asked_without_scripts_and_by_who_may(server: Up, chromium: Any) -> None:
    made = chromium.new_context(java_script_enabled=False).new_page()
    made.goto(_base(server) + "/query?sql=" + "SELECT+'<b>'+AS+x,+1+AS+y")
    made.fill("input[name=token]", server.token)
    made.click("button")
    made.click("#run")
    assert made.locator("td").all_inner_texts() == ["<b>", "1"]
    made.click("text=Back to the editor")
    assert made.input_value("#sql") == "SELECT '<b>' AS x, 1 AS y"
    made.fill("#sql", "SELECT nothing FROM nowhere")
    made.click("#run")
    assert made.locator("p.bad").count() == 1
    made.context.close()
    assert server.ask("GET", "/query/history").status == 403
    assert server.ask("POST", "/query", b"sql=SELECT+1").status == 403


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/endpoints/nothing", 404, "no endpoint"),
        ("/endpoints/late_api?span=9y", 422, "no span"),
        ("/generations/999", 404, "no generation 999"),
        ("/generations/x", 422, "not a number"),
        ("/generations/1?against=999", 404, "no generation 999"),
        ("/runs/99999", 404, "no run"),
        ("/runs?status=odd", 422, "no status"),
        ("/runs?before=-1", 422, "not a number"),
        ("/audit?q=" + "x" * 300, 422, "over 200"),
        ("/audit?q=%3Cimg", 200, "No row has"),
        ("/environments?environment=nope", 404, "no environment"),
        ("/endpoints/late_api?environment=dev", 200, "endpoint of model"),
        ("/datasets/deliveries", 200, "Checks beside EXPECT"),
        ("/query?sql=" + "x" * 7000, 200, "xxx"),
    ],
)
def test_what_is_not_there_is_told(server: Up, path: str, status: int, words: str) -> None:
    found = server.ask("GET", path, headers={"Accept": "text/html"})
    assert found.status == status
    assert words in found.body.decode()
    assert "<img" not in found.body.decode()


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

"""A search of options from its declaration to its trials in SQL: cut and gone on, told, and not made again on newer rows."""

from pathlib import Path
from typing import Any

import pytest

import shop_project
from tilth.app.project import Project
from tilth.interfaces.report.page import page

SEARCH = (
    shop_project.DECLARED.replace(
        "USING (engine = 'linear')", "USING (engine = 'linear', search = 'on', budget = '60 s', trials = 4)"
    )
    .replace("CREATE MODEL late", "CREATE MODEL unused")
    .replace("FOR MODEL late", "FOR MODEL duration")
)
DECLARED = SEARCH[: SEARCH.index("CREATE MODEL unused")] + SEARCH[SEARCH.index("CREATE MODEL duration") :]
DECLARED = DECLARED.replace("(id, late)", "(id, minutes)")


class Cut:
    """Somebody presses Ctrl-C while a trial is under way."""

    def __init__(self, trial: int) -> None:
        self._trial = trial

    def step(self, what: str, done: float | None = None, note: str = "") -> None:
        del done, note
        if what.endswith(f"trial {self._trial}"):
            raise KeyboardInterrupt


def trials(project: Project) -> list[Any]:
    asked = "SELECT engine, trial, options, loss, seconds, status, version, model, about FROM tilth.trials ORDER BY id"
    return [tuple(r.values()) for r in project.sql(asked).rows()]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = shop_project.make(tmp_path_factory.mktemp("searched") / "shop", DECLARED)
    project = shop_project.opened(folder)
    with pytest.raises(KeyboardInterrupt):
        project.apply(progress=Cut(3))
    before = trials(project)
    project.apply()
    yield project, before
    project.close()


def test_a_search_that_was_cut_goes_on_from_its_trials(searched: tuple[Project, list[Any]]) -> None:
    project, before = searched
    after = trials(project)
    assert [t[:2] for t in before] == [("linear", 0), ("linear", 1), ("linear", 2)]
    assert {t[6] for t in before} == {None}
    assert [t[:6] for t in after[:3]] == [t[:6] for t in before]
    assert [t[1] for t in after] == [0, 1, 2, 3, 4]
    assert {(t[6], t[7]) for t in after} == {(1, "duration")}
    assert project.verify().bundles == 1


def test_it_is_told_by_describe_in_the_report_and_in_the_evidence(
    searched: tuple[Project, list[Any]],
) -> None:
    project, _ = searched
    facts = project.sql("DESCRIBE duration").facts
    assert [t["trial"] for t in facts["search"]["trials"]] == [0, 1, 2, 3, 4]
    text = project.sql("DESCRIBE duration").text
    assert "Options were searched in 4 trials" in text
    assert any("4 trials of `linear`" in n for n in facts["notices"])
    shown = page(project.report("duration"))
    assert "Search of options" in shown
    assert "its default setting" in shown


def test_a_retraining_on_newer_rows_asks_them_about_what_was_found_and_searches_no_more(
    tmp_path: Path,
) -> None:
    folder = shop_project.make(tmp_path / "shop", DECLARED)
    project = shop_project.opened(folder)
    project.apply()
    first = trials(project)
    shop_project.add(folder, shop_project.deliveries(shop_project.DAYS, shop_project.DAYS + 20))
    project.clock.set(project.clock.now() + shop_project.timedelta(days=21))
    project.sql("REFRESH DATASET deliveries")
    project.sql("RETRAIN MODEL duration")
    more = trials(project)[len(first) :]
    best = min((t for t in first if t[5] == "done"), key=lambda t: (t[3], t[1]))
    assert [t[2] for t in more] == ["{}", *([best[2]] if best[1] else [])]
    assert {t[6] for t in more} == {2}
    assert {t[8] for t in more}.isdisjoint({t[8] for t in first})
    project.close()

"""The page of an environment: the loop, what needs attention, and the reports of its datasets and models one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from importlib import resources
from typing import Any

from tilth.app.project import Project
from tilth.core.errors import ProjectError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.interfaces import style
from tilth.interfaces.drawing import graph
from tilth.interfaces.report import dataset as of_dataset
from tilth.interfaces.report import page as of_model
from tilth.ports.progress import Progress
from tilth.runtime.record import environments
from tilth.runtime.showing import loop
from tilth.sql.language.statements import Kind

Facts = Mapping[str, Any]
COLUMNS = ("source", "view", "dataset", "model", "endpoint")
MOST = 40  # reports of each kind in one page
SIGNS = {"bad": "wrong", "warn": "look"}


def gathered(project: Project, name: str, progress: Progress) -> dict[str, Any]:
    """The facts of the page; what has no report yet stands in `missing` with the reason. ProjectError for an environment that was never applied."""
    work, deployed = project.looked(), project.deployed(name)
    known = environments.names(work.state)
    if name not in known:
        raise UnknownNameError(
            f"There is no environment `{name}`.", hint=did_you_mean(name, known, "environments")
        )
    if not len(deployed):
        raise ProjectError(f"Nothing is deployed in `{name}`.", hint="tilth apply")
    facts: dict[str, Any] = {"environment": name, "at": "", "reports": [], "missing": [], "left_out": []}
    facts["loop"] = loop.loop(work, name, deployed, {})
    facts["at"] = facts["loop"]["now"]
    for kind, make in ((Kind.DATASET, project.profile), (Kind.MODEL, project.report)):
        mine = deployed.of_kind(kind)
        facts["left_out"] += [(kind.value, r.name) for r in mine[MOST:]]
        for number, one in enumerate(mine[:MOST]):
            progress.step(f"report of {kind.value} {one.name}", number / len(mine[:MOST]))
            try:
                facts["reports"].append((kind.value, one.name, make(one.name, name)))
            except TilthError as error:
                facts["missing"].append((kind.value, one.name, error.message))
    return facts


def page(facts: Facts) -> str:
    """The whole page. All text is escaped."""
    frame = resources.files(__package__).joinpath("page.html").read_text("utf-8")
    body = "".join([_head(facts), _loop(facts), *(_report(*one) for one in facts["reports"])])
    return (
        frame.replace("{{style}}", style())
        .replace("{{title}}", escape(f"Environment {facts['environment']}"))
        .replace("{{body}}", body)
    )


def _anchor(kind: str, name: str) -> str:
    return f"{kind}-{escape(name)}"


def _head(facts: Facts) -> str:
    found = facts["loop"]
    links = ", ".join(
        f'<a href="#{_anchor(kind, name)}">{escape(name)}</a>' for kind, name, _ in facts["reports"]
    )
    said = "".join(
        f"<p>{escape(kind)} {escape(name)} has no report: {escape(why)}</p>"
        for kind, name, why in facts["missing"]
    )
    if facts["left_out"]:
        names = ", ".join(name for _, name in facts["left_out"])
        said += f"<p>Only the first {MOST} of a kind have their report here. Left out: {escape(names)}.</p>"
    return (
        f"<header><h1>Environment {escape(facts['environment'])}</h1><p>Generation {found['generation']}: {escape(str(found.get('reason') or ''))}</p>"
        f"<p>Reports: {links}.</p>{said}"
        f'<p class="soft">This report was made {escape(facts["at"][:16].replace("T", " "))} UTC.</p></header>'
    )


def _loop(facts: Facts) -> str:
    found = facts["loop"]
    there = {(kind, name) for kind, name, _ in facts["reports"]}
    boxes = [
        graph.Box(
            n.kind,
            n.name,
            n.state,
            n.lines,
            n.needs,
            f"#{_anchor(n.kind, n.name)}" if (n.kind, n.name) in there else "",
        )
        for n in found["nodes"]
    ]
    drawn = graph.graph(boxes, COLUMNS, lambda column, count: graph.Box(column, f"{count} more {column}s"))
    concerns = (
        "".join(_concern(c.level, c.words) for c in found["concerns"])
        or '<p class="good">All that is promised holds.</p>'
    )
    return (
        f'<section class="panel"><h2>Needs attention</h2>{concerns}</section>'
        f'<section class="panel"><h2>The loop</h2><div class="graph">{drawn}</div></section>'
    )


def _concern(level: str, words: str) -> str:
    sign = f'<span class="tag {level}">{SIGNS[level]}</span> ' if level in SIGNS else ""
    return f"<p>{sign}{escape(words)}</p>"


def _report(kind: str, name: str, facts: Facts) -> str:
    """The head and panels of one report, under its name."""
    head, panels = (
        (of_dataset.head, of_dataset.panels) if kind == "dataset" else (of_model.head, of_model.panels)
    )
    return f'<section id="{_anchor(kind, name)}">{head(facts, 2)}{"".join(_panels(panels(facts)))}</section>'


def _panels(found: Iterator[tuple[str, str]]) -> Iterator[str]:
    for title, inside in found:
        if inside:
            yield f'<section class="panel"><h3 class="title">{escape(title)}</h3>{inside}</section>'

"""The page of a dataset: distributions, gaps, drift, checks over time, freshness and lineage. Pure; all text is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from tilth.core.figures import figure
from tilth.core.sizes import show_size
from tilth.interfaces import style
from tilth.interfaces.drawing import charts
from tilth.interfaces.drawing.tables import short, table

Facts = Mapping[str, Any]
MOST_BARS, MOST_CHARTS, MOST_CHECKS = 20, 60, 24
MOVED = 0.1  # the index above which a column is said to have moved


def page(facts: Facts) -> str:
    """The whole page."""
    frame = resources.files(__package__).joinpath("page.html").read_text("utf-8")
    drawn = (
        f'<section class="panel"><h2>{escape(n)}</h2>{inside}</section>'
        for n, inside in panels(facts)
        if inside
    )
    return (
        frame.replace("{{style}}", style())
        .replace("{{title}}", escape(f"Dataset {facts['name']}"))
        .replace("{{body}}", head(facts) + "".join(drawn))
    )


def head(facts: Facts, level: int = 1) -> str:
    """What stands above the panels; `level` is of its heading."""
    newest = f", the newest of {escape(str(facts['newest'])[:16])}" if facts["newest"] else ""
    rows = [
        f"{facts['rows']:,} rows, {len(facts['columns']) + facts['left_out']:,} columns, {escape(show_size(facts['bytes'] or 0))}{newest}.",
        f'<span class="soft">Snapshot {escape(str(facts["snapshot"])[:12])} of {escape(facts["environment"])}; made {escape(facts["at"][:16])}.</span>',
    ]
    if facts["leakage"]:
        rows.insert(1, f"Leakage {escape(facts['leakage'])}.")
    if facts["left_out"]:
        rows.append(f"{facts['left_out']:,} more columns are not shown.")
    return (
        f"<header><h{level}>Dataset {escape(facts['name'])}</h{level}>"
        + "".join(f"<p>{r}</p>" for r in rows)
        + "</header>"
    )


def panels(facts: Facts) -> Iterator[tuple[str, str]]:
    """Title and inside of each panel, of facts that `asking.profiling.profiled` gives."""
    yield "Columns", _columns(facts["columns"])
    yield "Missing values", _missing(facts["columns"])
    yield "Drift against the snapshot before", _drift(facts)
    yield "Distributions", _distributions(facts["columns"])
    yield "Checks over time", _checks(facts)
    yield "Freshness", _refreshes(facts["refreshes"])
    yield "Lineage", _lineage(facts)
    yield "Declaration", f'<pre tabindex="0">{escape(short(facts["definition"]))}</pre>'


def _columns(columns: Sequence[Facts]) -> str:
    rows = [
        (
            escape(c["name"]), escape(c["type"]), _share(c["missing"]), escape(_range(c)),
            escape(c["tag"] or ""), "" if c["drift"] is None else figure(c["drift"], 3),
        )
        for c in columns
    ]  # fmt: skip
    return table(("column", "type", "missing", "values", "class", "drift"), rows)


def _range(c: Facts) -> str:
    if c["kind"] == "number" and c["minimum"] is not None:
        return f"{figure(c['minimum'], 4)} to {figure(c['maximum'], 4)}, mean {figure(c['mean'], 4)}"
    if c["kind"] == "category":
        return ", ".join(str(v)[:24] for v, _ in c["values"][:4]) + (
            " …" if c["others"] or len(c["values"]) > 4 else ""
        )
    return ""


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _missing(columns: Sequence[Facts]) -> str:
    some = sorted((c for c in columns if c["missing"]), key=lambda c: -c["missing"])[:MOST_BARS]
    if not some:
        return "<p>No column has a gap.</p>" if columns else ""
    names, values = [c["name"] for c in some], [c["missing"] for c in some]
    return _figure(
        charts.bars("Missing values by column", names, values, [_share(v) for v in values]), "narrow"
    )


def _drift(facts: Facts) -> str:
    if facts["before"] is None:
        return "<p>There is no earlier snapshot to compare with.</p>"
    known = sorted((c for c in facts["columns"] if c["drift"] is not None), key=lambda c: -c["drift"])
    if not known:
        return "<p>No column could be compared.</p>"
    moved = [c for c in known if c["drift"] > MOVED]
    words = f"Population stability index against snapshot {escape(str(facts['before'])[:12])}: {len(moved)} of {len(known)} columns are above {MOVED}."
    some = known[:MOST_BARS]
    drawn = charts.bars(
        "Drift by column",
        [c["name"] for c in some],
        [c["drift"] for c in some],
        [figure(c["drift"], 3) for c in some],
    )
    return f"<p>{words}</p>{_figure(drawn, 'narrow')}"


def _distributions(columns: Sequence[Facts]) -> str:
    drawn = [one for c in columns if (one := _drawn(c))]
    left = f"<p>{len(drawn) - MOST_CHARTS} more are not drawn.</p>" if len(drawn) > MOST_CHARTS else ""
    return f'<div class="charts">{"".join(drawn[:MOST_CHARTS])}</div>{left}' if drawn else ""


def _drawn(c: Facts) -> str:
    if c.get("counts"):
        beyond = c["below"] + c["above"]
        said = f"{c['name']}: {beyond:,} rows lie beyond the ends" if beyond else c["name"]
        return _figure(charts.columns(c["name"], c["edges"], c["counts"], c["name"]), "", said)
    if c["kind"] == "category" and c["values"]:
        names = [str(v) for v, _ in c["values"]]
        values = [float(n) for _, n in c["values"]]
        said = f"{c['name']}: {c['others']:,} rows have other values" if c["others"] else c["name"]
        return _figure(charts.bars(c["name"], names, values, [f"{int(v):,}" for v in values]), "", said)
    return ""


def _figure(svg: str, kind: str = "", caption: str = "") -> str:
    said = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure class="{kind}">{svg}{said}</figure>'


def _checks(facts: Facts) -> str:
    rows = [
        (
            escape(c["expectation"]), escape(c["on_fail"]), _held(c),
            "" if c["room"] is None else figure(c["room"], 3), escape(str(c["since"] or "")[:16]),
        )
        for c in facts["checks"]
    ]  # fmt: skip
    drawn = "".join(_over_time(h) for h in facts["history"][:MOST_CHECKS])
    listed = table(("check", "on fail", "held", "room", "since"), rows)
    return (
        listed + (f'<div class="charts">{drawn}</div>' if drawn else "")
        if rows
        else "<p>Its EXPECT names no check.</p>"
    )


def _held(c: Facts) -> str:
    if c["passed"] is None:
        return "not judged"
    return "yes" if c["passed"] else f"no: {escape(str(c['observed'] or c['failed']))}"


def _over_time(history: Facts) -> str:
    """The value of a set check, or the share of rows that failed, refresh by refresh."""
    points = history["points"]
    valued = [p for p in points if p["value"] is not None]
    if len(valued) >= 2:
        values = [float(p["value"]) for p in valued]
        ends = [
            (p["low"] if p["low"] is not None else v, p["high"] if p["high"] is not None else v)
            for p, v in zip(valued, values, strict=True)
        ]
        name = "value"
    else:
        valued = [p for p in points if p["rows"] and p["failed"] is not None]
        values, ends, name = [p["failed"] / p["rows"] for p in valued], [], "share that failed"
    if len(valued) < 2 or not any(values):  # nothing ever failed: the table says so
        return ""
    drawn = charts.line(
        history["check"], list(range(1, len(values) + 1)), values, ("refresh", name), spread=ends, dots=True
    )
    return _figure(drawn, "", history["check"])


def _refreshes(refreshes: Sequence[Facts]) -> str:
    rows = [
        (escape(str(r["at"])[:16]), escape(r["status"]), f"{r['rows_read'] or 0:,}", f"{r['rows_quarantined'] or 0:,}", escape(r["reason"] or ""))
        for r in reversed(refreshes[-20:])
    ]  # fmt: skip
    read = [float(r["rows_read"] or 0) for r in refreshes]
    drawn = (
        _figure(
            charts.line(
                "Rows read by refresh",
                list(range(1, len(read) + 1)),
                read,
                ("refresh", "rows read"),
                dots=True,
            ),
            "narrow",
        )
        if len(read) > 1
        else ""
    )
    return drawn + table(("refreshed", "status", "rows read", "held back", "reason"), rows)


def _lineage(facts: Facts) -> str:
    name = facts["name"]
    into: list[Facts] = []
    out: list[Facts] = []
    for e in facts["lineage"]:
        mine = e["to_kind"] == "dataset" and e["to_name"] == name
        (into if mine else out).append(e)
    rows = [
        (
            escape(e["to_column"] or "" if e in into else e["from_column"] or ""),
            escape(f"{e['from_name']}.{e['from_column'] or '*'}" if e in into else ""),
            escape("" if e in into else f"{e['to_kind']} {e['to_name']}"), escape(e["how"]),
        )
        for e in (*into, *out)
    ]  # fmt: skip
    return table(("column", "comes from", "goes to", "how"), rows)

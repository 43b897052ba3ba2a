"""The page of a report: sections of tables and charts from the facts of `runtime.asking.reporting`. Pure; all text is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from tilth.core.figures import figure
from tilth.interfaces import style
from tilth.interfaces.drawing import charts
from tilth.interfaces.drawing.tables import short, table
from tilth.interfaces.report import foretold, searched, understood
from tilth.runtime.showing.described import of_each

Facts = Mapping[str, Any]
MOST_BARS = 20


def page(facts: Facts) -> str:
    """The whole page."""
    frame = resources.files(__package__).joinpath("page.html").read_text("utf-8")
    title = f"{facts['name']} version {facts['version']}"
    body = "".join(_panel(name, inside) for name, inside in panels(facts) if inside)
    return (
        frame.replace("{{style}}", style())
        .replace("{{title}}", escape(title))
        .replace("{{body}}", head(facts) + body)
    )


def _panel(title: str, inside: str) -> str:
    return f'<section class="panel"><h2>{escape(title)}</h2>{inside}</section>'


def panels(facts: Facts) -> Iterator[tuple[str, str]]:
    """Title and inside of each panel, of facts that `asking.reporting.report` gives."""
    if "forecast" in facts:
        yield from foretold.panels(facts)
    for one in () if "forecast" in facts else of_each(facts):
        of = f": {one['output']}" if "output" in one else ""
        yield from ((title + of, inside) for title, inside in _of_target(one, facts))
    yield "Gates", _gates(facts)
    yield "Inputs", _inputs(facts)
    yield "To know", "".join(f"<p>{escape(n)}</p>" for n in facts["notices"])
    yield "Declaration", f'<pre tabindex="0">{escape(short(facts["definition"]))}</pre>'


def _of_target(facts: Facts, model: Facts) -> Iterator[tuple[str, str]]:
    """The panels of one target."""
    inputs = [
        {**i, "importance": facts.get("importance", {}).get(i["name"], i["importance"])}
        for i in model["inputs"]
    ]
    own = {**facts, "inputs": inputs}
    yield "How good it is", _metrics(own)
    yield "What its decisions cost", understood.money(own)
    yield "On rows that it was not tuned on", _curves(own)
    yield "What it goes by", understood.importance(own.get("permuted")) or _importance(own)
    yield "What each input does", _effects(own)
    yield "Where it is weak", understood.weak(own.get("weak"))
    yield "Slices", _slices(own)
    yield "Simpler models", understood.simpler(own)
    yield "Search of options", searched.trials(own.get("search"))


def head(facts: Facts, level: int = 1) -> str:
    """What stands above the panels; `level` is of its heading."""
    gate = facts["gate"]
    rows = [
        *(
            f"Predicts <b>{escape(one['target'])}</b> ({escape(one['task'])}): "
            f"{escape(one['metric'])} {_number(one['value'])}."
            for one in of_each(facts)
        ),
        f"{escape(facts['engine'])}, {facts['rows']:,} rows, trained {_when(facts['trained_at'])}; made from {escape(', '.join(facts['made_from']))}.",
    ]
    if gate:
        rows.append(f"Gate: {_outcome(gate['outcome'])} {escape(gate['reason'])}")
    rows.append(
        f'<span class="soft">Bundle {escape(facts["digest"][:16])} of {escape(facts["environment"])}; this report was made {_when(facts["at"])}.</span>'
    )
    title = (
        f'<h{level}>{escape(facts["name"])} <span class="soft">version {facts["version"]}</span></h{level}>'
    )
    return f"<header>{title}</header>" + "".join(f"<p>{row}</p>" for row in rows)


def _when(text: str) -> str:
    return f"{escape(text[:16].replace('T', ' '))} UTC"


def _number(value: Any) -> str:
    return "unknown" if value is None else figure(value, 4)


def _outcome(outcome: str) -> str:
    kind = {"pass": "good", "fail": "bad"}.get(outcome, "warn")
    return f'<span class="tag {kind}">{escape(outcome)}</span>'


def _metrics(facts: Facts) -> str:
    known = {"dummy": "knows the target alone", "linear": "a linear model"}
    baselines = facts["baselines"]
    head = ("metric", "this version", *(known.get(b, b) for b in baselines))
    rows = [
        (
            escape(m),
            f"<b>{_number(v)}</b>" if m == facts["metric"] else _number(v),
            *(_number(of.get(m)) for of in baselines.values()),
        )
        for m, v in facts["metrics"].items()
    ]
    return table(head, rows)


def _curves(facts: Facts) -> str:
    judged = facts["judged"]
    if judged is None:
        return f"<p>{escape(facts['why'])}</p>"
    return f'<p class="soft">{judged["rows"]:,} rows.</p><div class="charts">{"".join(_drawn(judged))}</div>{_confusion(judged)}'


def _drawn(judged: Facts) -> Iterator[str]:
    if (r := judged.get("ranking")) is not None:
        yield _figure("ROC", "How many of the positives are found at each price of false alarms",
                      charts.line("ROC curve", r["fpr"], r["tpr"], ("false alarms among negatives", "found"), unit=True, diagonal=True))  # fmt: skip
        yield _figure("Precision and recall", "Of those it calls positive how many are, at each share that is found",
                      charts.line("precision and recall", r["recall"], r["precision"], ("found", "right when it says so"), unit=True))  # fmt: skip
    if (r := judged.get("reliability")) is not None and r["bins"]:
        bins = r["bins"]
        yield _figure(f"Reliability, ECE {_number(r['ece'])}", f"What was said against what came true, with 95 % intervals; on the diagonal they agree. {len(bins)} bins of equal rows; luck alone makes an ECE of {_number(r['luck'])}, without it {_number(r['debiased'])} is left",
                      charts.line("reliability", [b["said"] for b in bins], [b["came"] for b in bins], ("said", "came true"), unit=True,
                                  diagonal=True, spread=[(b["low"], b["high"]) for b in bins], dots=True))  # fmt: skip
    if (r := judged.get("residuals")) is not None and r["bins"]:
        bins = r["bins"]
        yield _figure("Said and true", "In ten bins of what it said: the middle of the truth, and where eight of ten lie",
                      charts.line("said and true", [b["said"] for b in bins], [b["middle"] for b in bins], ("said", "true"),
                                  diagonal=True, spread=[(b["low"], b["high"]) for b in bins], dots=True))  # fmt: skip
        yield _figure(f"How far off, half within {_number(r['median'])}", "Truth minus answer; the last hundredth at each end is in the end bars",
                      charts.columns("residuals", r["edges"], r["counts"], "truth minus answer"))  # fmt: skip


def _figure(title: str, words: str, chart: str) -> str:
    return f"<figure><h3>{escape(title)}</h3>{chart}<figcaption>{escape(words)}.</figcaption></figure>"


def _confusion(judged: Facts) -> str:
    found = judged.get("confusion")
    if found is None:
        return ""
    at = f" at a threshold of {_number(judged['threshold'])}" if "threshold" in judged else ""
    return f"<h3>What was taken for what{at}</h3>{charts.heat(found['classes'], found['rows'])}"


def _importance(facts: Facts) -> str:
    known = sorted(((i["importance"] or 0.0, i["name"]) for i in facts["inputs"]), reverse=True)[:MOST_BARS]
    if not known or not known[0][0]:
        return ""
    chart = charts.bars(
        "importance of inputs", [n for _, n in known], [v for v, _ in known], [f"{v:.1%}" for v, _ in known]
    )
    return f'<figure class="narrow">{chart}</figure>'


def _effects(facts: Facts) -> str:
    drawn = []
    for e in facts["effects"]:
        pairs = [(v, m) for v, m in zip(e["values"], e["means"], strict=True) if m is not None]
        if len(pairs) >= 2:
            drawn.append(f"<figure><h3>{escape(e['input'])}</h3>{_effect(e, pairs)}</figure>")
    words = '<p class="soft">The mean answer when an input has each of some values and all else is as it is, and how many rows there are at its foot. It shows what the model does, not what causes what.</p>'
    return f'{words}<div class="charts">{"".join(drawn)}</div>' if drawn else ""


def _effect(e: Facts, pairs: Sequence[tuple[Any, float]]) -> str:
    values, means = [v for v, _ in pairs], [m for _, m in pairs]
    what, rows = f"effect of {e['input']}", e.get("rows") or ()
    if e["numeric"]:
        return charts.line(what, values, means, (e["input"], "mean answer"), dots=True, rows=rows)
    held = dict(zip(e["values"], rows, strict=False))
    named = [f"{v} · {held[v]:,} rows" if v in held else str(v) for v in values]
    return charts.bars(what, named, means, [figure(m, 3) for m in means])


def _slices(facts: Facts) -> str:
    out = []
    for column, rows in facts["slices"].items():
        metric = facts["metric"]
        cells = [(escape(str(r["value"])), f"{r['rows']:,}", _number(r.get(metric))) for r in rows]
        out.append(table((column, "rows", metric), cells))
    return "".join(out)


def _gates(facts: Facts) -> str:
    rows = [
        (
            _when(g["at"]), f"{g['candidate']}" + (f" against {g['champion']}" if g["champion"] else ""), _outcome(g["outcome"]),
            _number(g["candidate_metric"]), _number(g["champion_metric"]) if g["champion"] else "", f"{g['rows']:,}", escape(g["reason"]),
        )
        for g in facts["gates"]
    ]  # fmt: skip
    return table(("when", "version", "outcome", facts["metric"] or "metric", "champion", "rows", "why"), rows)


def _inputs(facts: Facts) -> str:
    rows = []
    for i in facts["inputs"]:
        if i["range"]:
            holds = f"{_number(i['range'][0])} to {_number(i['range'][1])}"
        else:
            holds = ", ".join(map(str, i["categories"] or ())) + (", ..." if i["more_categories"] else "")
        rows.append((escape(i["name"]), escape(i["type"]), "yes" if i["required"] else "no", escape(holds)))
    return table(("input", "type", "required", "seen in training"), rows)

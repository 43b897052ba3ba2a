"""What holds a version whatever its answers are worth, and what is said of whose answers were judged: read of its facts."""

from __future__ import annotations

from tilth.core.figures import figure
from tilth.ports.snapshots import Manifest
from tilth.runtime.record import leakage
from tilth.runtime.record.rows import State
from tilth.runtime.record.versions import Version
from tilth.sql.language.statements import CreateModel


def leaks(candidate: Version, declared: CreateModel) -> str:
    """What holds a version whose columns tell its target too well, with the statement that lets it pass."""
    accepted = {c.lower() for c in declared.accept.columns} if declared.accept else set()
    found = [
        leak for leak in candidate.facts.get("leaks", [])
        if leak.get("holds", True) and str(leak["column"]).lower() not in accepted
    ]  # fmt: skip
    if not found:
        return ""
    named = "; ".join(f"`{leak['column']}`: {leak['seen']}" for leak in found)
    listed = ", ".join(str(leak["column"]) for leak in found)
    return (
        f"It may know its target beforehand. {named}. Leave such columns out with FEATURES (* EXCEPT ({listed})), or say why they "
        f"are known when a prediction is made: ACCEPT LEAK ({listed}) BECAUSE '...'."
    )


def accepted(candidate: Version, declared: CreateModel) -> tuple[str, ...]:
    """What was found and is accepted by the text, with the reason that it gives: a part of what the gate says."""
    if declared.accept is None:
        return ()
    named = {c.lower() for c in declared.accept.columns}
    found = [leak for leak in candidate.facts.get("leaks", []) if str(leak["column"]).lower() in named]
    if not found:
        return ()
    said = "; ".join(f"`{leak['column']}`: {leak['seen']}" for leak in found)
    return (f"Accepted as no leak, because {declared.accept.because!r}: {said}.",)


def later(state: State, manifest: Manifest, candidate: Version, declared: CreateModel) -> str:
    """What holds a version that learned from columns that were another when later rows were taken away."""
    found = leakage.of(state, manifest.recipe)
    if found is None or not found.columns:
        return ""
    used = {str(c["name"]).lower() for c in candidate.facts.get("columns", []) if c["used"]}
    accepted = {c.lower() for c in declared.accept.columns} if declared.accept else set()
    seen = [c for c in found.columns if c.lower() in used - accepted]
    if not seen:
        return ""
    listed = ", ".join(seen)
    return (
        f"Of dataset `{manifest.dataset}` {found.why}; the model learned from {listed}. Join it AS OF the row's event time, end windows at the row, "
        f"leave it out with FEATURES (* EXCEPT ({listed})), or say why it is known when a prediction is made: ACCEPT LEAK ({listed}) BECAUSE '...'."
    )


def apart(candidate: Version) -> str:
    """What holds a version that does not say what was judged."""
    found = candidate.facts.get("agreement")
    if not found or found["holds"]:
        return ""
    return (
        f"What would serve does not say what was judged: fitted on all rows it differs by {figure(found['apart'], 3)} in the worst of "
        f"nineteen of twenty rows, and models that were fitted on four fifths of them by {figure(found['usual'], 3)} from each other. "
        "Train it again with another seed, or with more time: USING (time_limit = '5 minutes')."
    )


def judged_by(candidate: Version) -> tuple[str, ...]:
    """What answered the rows, and what serves."""
    found = candidate.facts.get("agreement")
    if not found:
        return ()
    if found["usual"] is None:
        return (
            "How far what serves is from what was judged could not be measured: the limits left one model of a part of the rows.",
        )
    return (
        f"Judged by {str(found['twin'])[:12]}, serves as {candidate.digest.removeprefix('sha256:')[:12]}.",
    )

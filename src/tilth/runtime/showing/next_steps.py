"""What to do next, told from where an environment stands (the end of `tilth status`), or from what a command did. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

MOST = 5  # steps that are told
_JUDGED = ("TrainModel", "ShareVersion")  # what ends at a gate; what else is held waits for that


def next_steps(found: Mapping[str, Any], serving: str, usual: str | None = None) -> list[str]:
    """Commands with what they are for, the most urgent first; `found` is what `standing` gives, `usual` the environment that
    commands mean when none is named (by default where models serve).
    """
    return list(dict.fromkeys(_steps(found, serving, serving if usual is None else usual)))[:MOST]


def _steps(found: Mapping[str, Any], serving: str, usual: str) -> Iterator[str]:
    environment = found["environment"]
    there = "" if environment == usual else f" --env {environment}"
    for one in found["failures"]:
        yield _again(one, there)
    for one in found["held"]:
        if one["status"] == "refused" or one["action"] in _JUDGED:
            what = "was refused" if one["status"] == "refused" else "is held, and what takes it"
            yield f"tilth sql \"SELECT * FROM tilth.gates WHERE model = '{one['name']}'\"   why `{one['name']}` {what}"
    if not found["generation"] and not found["failures"]:
        yield f"tilth plan{there} && tilth apply{there}   what would be made, and make it"
    up = any(s["alive"] and s["url"] for s in found["servers"])
    if found["endpoints"] and environment == serving and not up:
        yield f"tilth up{there}   serve the endpoints and keep the data and models fresh"


def _again(one: Mapping[str, Any], there: str) -> str:
    """The command that does again what failed."""
    if one["action"] == "write":
        return f'tilth sql "SELECT * FROM tilth.writes ORDER BY id DESC"{there}   what was written into `{one["name"]}`; do it again'
    if one["action"] == "CollectDataset" and one["deployed"]:
        return f'tilth sql "REFRESH DATASET {one["name"]}"{there}   when the cause is mended'
    if one["action"] == "TrainModel" and one["deployed"]:
        return f'tilth sql "RETRAIN MODEL {one["name"]}"{there}   when the cause is mended'
    if one["action"] == "RunJob" and one["deployed"]:
        return f'tilth sql "RUN JOB {one["name"]}"{there}   when the cause is mended'
    if one["action"] == "RunTrigger":
        return f"tilth up{there}   looks again, later each time; mend the cause of `{one['name']}`"
    return f"tilth apply{there}   when the cause of `{one['name']}` is mended"


def ways(steps: Sequence[str]) -> str:
    """The steps as lines under `Next:`; nothing when there are none."""
    return "\n".join(["Next:", *(f"  {step}" for step in steps)]) if steps else ""


# --- after a command ---------------------------------------------------------------------------------------

Facts: TypeAlias = Mapping[str, Any]


def after(command: str, facts: Facts, there: str = "") -> list[str]:
    """What to do next after a command, from what it told; `there` is the option that names the environment."""
    return list(AFTER[command](facts, there))[:MOST]


def there_of(environment: str, default: str) -> str:
    """The option that names the environment; nothing for the one that commands mean without it."""
    return "" if environment == default else f" --env {environment}"


def _plan(facts: Facts, there: str) -> Iterator[str]:
    if facts["actions"] and "file" in facts:
        yield f"tilth apply {_word(facts['file'])}   do exactly this"
    elif facts["actions"]:
        yield f"tilth apply{there}   do this"
    elif facts["generation"]:
        yield f"tilth status{there}   where {facts['environment']} stands"
    else:
        yield 'declare something in a *.sql file: CREATE SOURCE ops ENGINE files WITH (path = "data");'.replace(
            '"', "'"
        )


def _checked(facts: Facts, there: str) -> Iterator[str]:
    yield (
        f"tilth plan{there}   what would change"
        if facts["ok"]
        else "tilth check   again, when this is mended"
    )


def _laid_out(facts: Facts, there: str) -> Iterator[str]:
    del there
    if facts["problems"]:
        yield "tilth check   all that is wrong with the project's files"
    elif facts["changed"] and not facts["written"]:
        yield "tilth fmt   lay them out"
    else:
        yield "tilth check   whether they say what can be"


def _applied(facts: Facts, there: str) -> Iterator[str]:
    yield f"tilth status{there}   where {facts['environment']} stands"
    if facts["generation"]:
        yield f'tilth sql "SHOW MODELS"{there}   what can be asked'


def _promoted(facts: Facts, there: str) -> Iterator[str]:
    yield f"tilth status{there}   where {facts['environment']} stands"
    yield f"tilth rollback {facts['environment']}   undo it"


def _rolled_back(facts: Facts, there: str) -> Iterator[str]:
    yield f"tilth status{there}   where {facts['environment']} stands"
    yield f"tilth rollback {facts['environment']} --to {facts['from']}   go back again"


def _drilled(facts: Facts, there: str) -> Iterator[str]:
    yield f"tilth watch {_word(facts['model'])}{there}   what its answers say now"


def _freed(facts: Facts, there: str) -> Iterator[str]:
    del facts, there
    yield "tilth verify   that all that is kept is whole"


def _compared(facts: Facts, there: str) -> Iterator[str]:
    name = facts["second"].partition("@")[0]
    yield f"tilth describe {_word(name)}{there}   the version that serves"


def _watched(facts: Facts, there: str) -> Iterator[str]:
    for look in facts["looks"]:
        yield f'tilth sql "RETRAIN MODEL {look["model"]}"{there}   a candidate of the data as it is'
    if not facts["looks"]:
        yield f"tilth status{there}   where {facts['environment']} stands"


def _verified(facts: Facts, there: str) -> Iterator[str]:
    del facts, there
    yield "tilth backup FILE   a copy of all that was verified"


def _backed_up(facts: Facts, there: str) -> Iterator[str]:
    del facts, there
    yield "tilth restore FILE --project FOLDER   try it in another folder"


def _restored(facts: Facts, there: str) -> Iterator[str]:
    del facts
    yield f"tilth status{there}   where it stands"
    yield "tilth up   serve it again"


def _begun(facts: Facts, there: str) -> Iterator[str]:
    del there
    yield f"cd {_word(facts['folder'])} && tilth plan   what would be made"


def _described(facts: Facts, there: str) -> Iterator[str]:
    name, kind = _word(facts["name"]), facts["kind"]
    if not facts["deployed"]:
        yield f"tilth plan{there}   what it would make"
    elif kind == "model":
        yield f"tilth predict {name} INPUT=VALUE ... --explain{there}   one prediction, and why"
    elif kind == "endpoint":
        yield f"tilth watch {name}{there}   what its answers say now"
    elif kind == "dataset":
        yield f'tilth sql "SUMMARIZE {facts["name"]}"{there}   each column at a glance'
    elif kind == "source":
        yield f"tilth sql \"SHOW TABLES LIKE '{facts['name']}.%'\"{there}   its tables, as a query names them"
    else:
        yield f"tilth status{there}   where {facts['environment']} stands"


def _reported(facts: Facts, there: str) -> Iterator[str]:
    yield f"tilth watch {_word(facts['name'])}{there}   what its answers say now"


def _predicted(facts: Facts, there: str) -> Iterator[str]:
    yield f"tilth describe {_word(facts['model'])}{there}   what it takes, and how good it is"


def _exported(facts: Facts, there: str) -> Iterator[str]:
    yield f"tilth describe {_word(facts['model'])}{there}   what it takes and gives, by name"


def _adopted(facts: Facts, there: str) -> Iterator[str]:
    yield f"tilth plan{there}   with what {_word(facts['file'])} declares now"


def _imported(facts: Facts, there: str) -> Iterator[str]:
    name, number = _word(facts["model"]), facts["version"]
    if facts["status"] == "held":
        told = f"PROMOTE MODEL {name} VERSION {number} BECAUSE '...'"
        yield f'tilth sql "{told}"{there}   take it all the same'
    yield f"tilth describe {name}{there}   its versions, and what their gates said"


def _installed(facts: Facts, there: str) -> Iterator[str]:
    yield f"tilth plan{there}   with a model that has USING (engine = '{facts['engine']}')"


def _environments(facts: Facts, there: str) -> Iterator[str]:
    del there
    serving = facts["serving"]
    for one in facts["environments"]:
        if one["name"] != serving:
            yield f"tilth promote {one['name']} {serving}   give {serving} all that it points at"
    if not facts["environments"]:
        yield "tilth plan && tilth apply   make the first one"


def _acted(facts: Facts, there: str) -> Iterator[str]:
    """After a statement, by its class."""
    step = _STATEMENTS.get(facts["statement"])
    if step is not None:
        yield from step(facts, there)
        return
    if facts["refused"]:
        yield f'tilth sql "SELECT * FROM tilth.gates"{there}   why it was refused'
    yield f"tilth status{there}   where {facts.get('environment') or 'it'} stands"


def _moved(facts: Facts, there: str) -> Iterator[str]:
    del there
    yield f"tilth rollback {facts['environment']}   undo it"


def _refreshed(facts: Facts, there: str) -> Iterator[str]:
    yield f'tilth sql "SUMMARIZE {facts["name"]}"{there}   each column at a glance'


def _tested(facts: Facts, there: str) -> Iterator[str]:
    del there
    if "folder" in facts:
        yield f"tilth test {_word(facts['dataset'])}   ask its query over it"
    elif not facts["cases"]:
        yield "tilth test --create DATASET   a case made of a sample"


def _tokens(facts: Facts, there: str) -> Iterator[str]:
    del facts
    yield f'tilth sql "SELECT * FROM tilth.tokens"{there}   who may ask'


def _deployed(facts: Facts, there: str) -> Iterator[str]:
    del there
    if facts["read"]:
        yield f"tilth deploy {facts['what']} > FILE   into a file; docs/operations.md names the place"
    elif facts["what"] == "systemd":
        yield f"systemctl daemon-reload && systemctl enable --now tilth-{facts['name']}   begin to serve"
    else:
        yield "see docs/operations.md   where the file goes"


def _serving(facts: Facts, there: str) -> Iterator[str]:
    for name in facts["endpoints"][:1]:
        yield f"tilth describe {_word(name)}{there}   a request to copy, for curl, Python and SQL"
        yield f"tilth watch {_word(name)}{there}   what its answers say, once there are some"
    if not facts["generation"]:
        yield f"tilth apply{there}   make what the files declare; it is served within a second"
    yield f"tilth status{there}   where {facts['environment']} stands"


def _played(facts: Facts, there: str) -> Iterator[str]:
    del there
    if facts["kept"]:
        yield f"cd {_word(facts['kept'])} && tilth status   look around in it"
    else:
        yield "tilth demo --keep flights   the same, and the project stays to look around in"
    yield "tilth init FOLDER --from data.csv --predict COLUMN   a project of your own data"


def _word(text: str) -> str:
    return shlex.quote(text)


def _profiled(facts: Facts, there: str) -> Iterator[str]:
    yield f"tilth suggest {_word(facts['name'])}{there}   checks that its rows hold"


def _suggested(facts: Facts, there: str) -> Iterator[str]:
    if facts["file"]:
        yield f"tilth apply{there}   collect by them"
    elif facts["proposals"]:
        yield f"tilth suggest {facts['dataset']} --write   add them to its declaration"
    else:
        yield f"tilth describe {facts['dataset']}{there}   what it expects already"


AFTER: Mapping[str, Callable[[Facts, str], Iterator[str]]] = {
    "plan": _plan,
    "apply": _applied,
    "check": _checked,
    "fmt": _laid_out,
    "promote": _promoted,
    "rollback": _rolled_back,
    "drill": _drilled,
    "gc": _freed,
    "diff": _compared,
    "watch": _watched,
    "verify": _verified,
    "backup": _backed_up,
    "restore": _restored,
    "init": _begun,
    "describe": _described,
    "report": _reported,
    "suggest": _suggested,
    "profile": _profiled,
    "predict": _predicted,
    "export": _exported,
    "adopt": _adopted,
    "import": _imported,
    "install": _installed,
    "environments": _environments,
    "sql": _acted,
    "deploy": _deployed,
    "up": _serving,
    "demo": _played,
    "backfill": _refreshed,
    "test": _tested,
}
"""By command; `status` has `next_steps`."""
_STATEMENTS: Mapping[str, Callable[[Facts, str], Iterator[str]]] = {
    "PlanStatement": _plan,
    "PromoteEnvironment": _moved,
    "PromoteModel": _moved,
    "RollbackEnvironment": _moved,
    "RefreshDataset": _refreshed,
    "Drill": _drilled,
    "CreateToken": _tokens,
    "DropToken": _tokens,
}
"""Statements with a step of their own, by their classes."""

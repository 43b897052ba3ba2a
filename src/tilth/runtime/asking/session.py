"""One statement after another, as typed at any door: it is parsed, allowed, performed, and answered as a table.

At a prompt `CREATE` and `DROP` are applied at once, each to what is deployed at that moment, and do nothing that is due
elsewhere; the files of a project are compared only by PLAN and APPLY. A session has one environment and one principal,
who is asked for a right before each statement. What acts is in `acting`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tilth.core.errors import LanguageError
from tilth.core.figures import figure
from tilth.kinds import declares, parse, show
from tilth.ml.model.answerer import of_rows
from tilth.plan.rights import allowed
from tilth.runtime.asking import by_endpoint, explaining, first, natively, statements
from tilth.runtime.asking import select as asking
from tilth.runtime.asking.prompt import Prompt, Result
from tilth.sql.language.acts import (
    CancelStatement,
    Describe,
    Evaluate,
    ExplainDataset,
    ExplainPredict,
    ExplainQuery,
    LookAt,
    Noted,
    ResetSetting,
    Select,
    SetSetting,
    Show,
    ShowSetting,
    Statement,
    Summarize,
    UseEnvironment,
)
from tilth.sql.language.parameters import Parameters, bound


class Session(Prompt):
    """Performs statements on a project."""

    __slots__ = ()

    def run(self, text: str, parameters: Parameters | None = None) -> Result:
        """Perform every statement of the text in order, with values for `$x` or `?`; the last one's result."""
        found = parse(bound(text, parameters, self.frames))
        if not found:
            raise LanguageError(
                "There is no statement in this text.", hint="Write one, such as SELECT ... or PLAN."
            )
        for statement in found[:-1]:
            self.perform(statement)  # its rows are not read; what they hold open goes with them
        return self.perform(found[-1])

    def perform(self, statement: Statement) -> Result:
        """Perform one statement; RightError when the principal may not, CancelledError when `cancel` was called meanwhile."""
        turn = self.next_turn()
        noted = (
            statements.begun(
                self, lambda: getattr(statement, "without_values", "") or show(statement).rstrip(";")
            )
            if self.door
            else None
        )
        try:
            done = self._perform(statement)
        except BaseException as error:
            told = turn.error() if turn.cancelled and isinstance(error, KeyboardInterrupt) else error
            if noted is not None:
                noted.end(error=told)
            if told is not error:
                raise told from None
            raise
        done.told.extend(getattr(statement, "told", ()))
        return done if noted is None else statements.followed(noted, done)

    def _perform(self, statement: Statement) -> Result:
        declaring = declares(statement)
        allowed(self.principal, statement, declares=declaring)
        if (ask := ASKS.get(type(statement))) is not None:
            return ask(self, statement)
        if (own := OWN.get(type(statement))) is not None:
            return own(self, statement)
        from tilth.runtime.asking import acting
        from tilth.runtime.asking.declaring import create

        if self.begin is not None and type(statement) not in acting.OF_WHAT_IS_THERE:
            self.work = self.begin()
        return (
            create(self, statement) if declares(statement) else acting.ACTS[type(statement)](self, statement)
        )


def select(at: Prompt, statement: Select) -> Result:
    """Rows, as a stream."""
    models = asking.models_of(at.work, at.environment, at.loaded)
    if not any(
        name in statement.sql.lower() for name in models.pointed
    ):  # what models alone answer needs no engine
        at.work.engine.warm()
    graph = at.deployed(at.environment)
    natively.check(at, statement.sql, graph)
    told: list[str] = []

    def tell(words: str) -> None:
        told.append(words)
        at.progress.step(words)

    at.limits.turn.tell = tell
    one = first.standing(at, statement, graph, models, told)
    reader = asking.select(at.work, graph, at.environment, one.models, one.query, at.limits, told, at.frames)
    return Result(reader, told=told)


def explain(at: Prompt, statement: ExplainPredict) -> Result:
    """Why a model answers so: a row an input."""
    import pyarrow as pa

    models = asking.models_of(at.work, at.environment, at.loaded)
    name, inputs, looked_up = by_endpoint.completed(at, models, statement.model, dict(statement.inputs.items))
    model = of_rows(models.get(name))
    names = {i.name.lower(): i.name for i in model.inputs}
    given = {names.get(k, k): v for k, v in inputs.items()}
    found = model.explain(given)
    each = found if (several := len(model.classes_of) > 1) else {"": found}
    rows = [{"output": output, **row} for output, one in each.items() for row in one.pop("contributions", [])]
    columns = {
        "output": [r["output"] for r in rows],
        "input": [r["input"] for r in rows],
        "given": [None if r["given"] is None else str(r["given"]) for r in rows],
        "contribution": [float(r["contribution"]) for r in rows],
    }
    table = pa.table(columns if several else {k: v for k, v in columns.items() if k != "output"})
    version = next(iter(each.values()))["version"]
    words = ". ".join(f"{output}: {_added(one)}" if several else _added(one) for output, one in each.items())
    if looked_up:
        words, found = f"{words}; {looked_up.pop('words')}", {**found, "looked_up": looked_up}
    return Result(table.to_reader(), f"{name} version {version}: {words}", found)


def _added(found: Mapping[str, Any]) -> str:
    """What an explanation adds up to, in words."""
    shown = ", ".join(f"{k} {v}" for k, v in found.items() if k in ("value", "confidence", "lower", "upper"))
    if "base" not in found:
        return shown
    return f"{shown}; from a base of {figure(found['base'])} contributions add up to {figure(found['total'])}, the {found['of']}"


def explain_query(at: Prompt, statement: ExplainQuery) -> Result:
    """What a query would do, and where: a row a step."""
    models = asking.models_of(at.work, at.environment, at.loaded)
    query = Select(statement.query.sql, statement.query.position)
    graph = at.deployed(at.environment)
    one, steps = first.would(at, query, graph, models)
    if one is None:
        return Result(
            explaining.table([explaining.Step(explaining.WORKER, step) for step in steps]).to_reader()
        )
    found = asking.select(
        at.work, graph, at.environment, one.models, one.query, at.limits, frames=at.frames, explained=True
    )
    return Result(found if not steps else explaining.after(steps, found).to_reader())


def explain_dataset(at: Prompt, statement: ExplainDataset) -> Result:
    """What each column is worth to a model."""
    from tilth.runtime.asking import valued

    return valued.explained(at, statement)


def look(at: Prompt, statement: LookAt) -> Result:
    """What the answers of a served model say now."""
    from tilth.runtime.asking import looking

    return looking.look(at, statement)


def evaluate(at: Prompt, statement: Evaluate) -> Result:
    """A metric of what a query returns."""
    from tilth.runtime.asking import evaluating

    return evaluating.evaluate(at, statement)


def note(at: Prompt, statement: Noted) -> Result:
    """What is to be said of a statement that does nothing here."""
    del at
    return Result(None, statement.text)


def describe(at: Prompt, statement: Describe | Show | Summarize) -> Result:
    """What there is, and all that is known of one thing."""
    from tilth.runtime.asking import describing

    if isinstance(statement, Describe):
        return describing.description(at, statement)
    return (
        describing.listing(at, statement)
        if isinstance(statement, Show)
        else describing.summary(at, statement)
    )


def of_session(at: Prompt, statement: SetSetting | ResetSetting | UseEnvironment | ShowSetting) -> Result:
    """A setting of the session, shown or changed."""
    from tilth.runtime.asking import settings

    return settings.PERFORM[type(statement)](at, statement)


ASKS: Mapping[type, Callable[[Prompt, Any], Result]] = {
    Select: select,
    ExplainPredict: explain,
    ExplainQuery: explain_query,
    ExplainDataset: explain_dataset,
    LookAt: look,
    Evaluate: evaluate,
    Noted: note,
    Describe: describe,
    Show: describe,
    Summarize: describe,
    ShowSetting: of_session,
}
"""One function for each statement that asks."""
OWN: Mapping[type, Callable[[Prompt, Any], Result]] = {
    SetSetting: of_session,
    ResetSetting: of_session,
    UseEnvironment: of_session,
    CancelStatement: statements.cancel,
}
"""One for each that acts on sessions and on nothing else."""

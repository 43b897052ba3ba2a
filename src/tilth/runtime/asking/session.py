"""One statement after another, as typed at any door: it is parsed, performed, and answered as a table.

At a prompt `CREATE` and `DROP` are applied at once, each to what is deployed at that moment, and do nothing that is due
elsewhere; the files of a project are compared only by PLAN and APPLY. A session has one environment.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tilth.core.errors import LanguageError, ProjectError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.principals import Principal
from tilth.kinds import declares, parse
from tilth.ml.model.answerer import of_rows
from tilth.plan.actions import CollectDataset, Plan, TrainModel
from tilth.plan.explain import facts, words
from tilth.ports.limits import Limits
from tilth.ports.progress import Progress
from tilth.resources.graph import Graph
from tilth.runtime.act import Act
from tilth.runtime.applying import changes, executor, notices
from tilth.runtime.applying.executor import Applied, Did
from tilth.runtime.asking import select
from tilth.runtime.moving.promotion import promote
from tilth.runtime.moving.publishing import rollback
from tilth.runtime.record import environments
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import (
    ApplyStatement,
    CreateModel,
    Declaration,
    Drill,
    Drop,
    ExplainPredict,
    Kind,
    Options,
    PlanStatement,
    PromoteEnvironment,
    RefreshDataset,
    RetrainModel,
    RollbackEnvironment,
    Select,
    Statement,
)

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement answered: rows for a question, words and facts for an act (which read as rows too)."""

    reader: pa.RecordBatchReader | None = None
    text: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    refused: bool = False  # a candidate did not pass its gate
    told: list[str] = field(default_factory=list)  # what to know of the rows, once they are read

    def arrow(self) -> pa.Table:
        """The rows as an Arrow table; a result can be read once."""
        import pyarrow as pa

        if self.reader is not None:
            return self.reader.read_all()
        flat = {
            k: v if isinstance(v, str | int | float | None) else json.dumps(v) for k, v in self.facts.items()
        }
        return pa.Table.from_pylist([flat] if flat else [])

    def rows(self) -> list[dict[str, Any]]:
        """The rows as mappings."""
        found: list[dict[str, Any]] = self.arrow().to_pylist(maps_as_pydicts="lossy")
        return found


Graphs = Callable[[str], Graph]


@dataclass(slots=True)
class Session:
    """Performs statements on a project. `declared` is the graph of the files, `deployed` that of what was applied,
    `compiled` makes one of declarations.
    """

    work: Workspace
    environment: str
    principal: Principal
    declared: Callable[[], Graph]
    deployed: Graphs
    compiled: Callable[[list[Declaration]], Graph]
    progress: Progress
    tell: Callable[[Did], None] | None = None
    loaded: select.Loaded = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

    def run(self, text: str) -> Result:
        """Perform every statement of the text in order; the last one's result."""
        statements = parse(text)
        if not statements:
            raise LanguageError(
                "There is no statement in this text.", hint="Write one, such as SELECT ... or PLAN."
            )
        for statement in statements[:-1]:
            self.perform(statement)  # its rows are not read; what they hold open goes with them
        return self.perform(statements[-1])

    def perform(self, statement: Statement) -> Result:
        """Perform one statement."""
        if declares(statement):
            return self._create(statement)
        return _PERFORM[type(statement)](self, statement)

    def _act(self, environment: str | None = None) -> Act:
        return Act(self.work, environment or self.environment, self.principal, self.progress)

    # --- asking ---

    def _select(self, statement: Select) -> Result:
        models = select.models_of(self.work, self.environment, self.loaded)
        graph = self.deployed(self.environment)
        told: list[str] = []
        reader = select.select(self.work, graph, self.environment, models, statement, self.limits, told)
        return Result(reader, told=told)

    def _explain(self, statement: ExplainPredict) -> Result:
        import pyarrow as pa

        model = of_rows(select.models_of(self.work, self.environment, self.loaded).get(statement.model))
        names = {i.name.lower(): i.name for i in model.inputs}
        given = {names.get(k, k): v for k, v in statement.inputs.items}
        found = model.explain(given)
        rows = found.pop("contributions", [])
        table = pa.table(
            {
                "input": [r["input"] for r in rows],
                "given": [None if r["given"] is None else str(r["given"]) for r in rows],
                "contribution": [float(r["contribution"]) for r in rows],
            }
        )
        shown = ", ".join(
            f"{k} {v}" for k, v in found.items() if k in ("value", "confidence", "lower", "upper")
        )
        return Result(table.to_reader(), f"{statement.model} version {found['version']}: {shown}", found)

    # --- acting ---

    def _plan(self, statement: PlanStatement) -> Result:
        name = statement.environment or self.environment
        graph = self.declared()
        found = notices.foreseen(changes.planned(self.work, graph, name), graph, self.work.root)
        return Result(None, words(found), facts(found))

    def _apply(self, statement: ApplyStatement) -> Result:
        name = statement.environment or self.environment
        return self._applied(executor.apply(self._act(name), self.declared(), tell=self.tell))

    def _promote(self, statement: PromoteEnvironment) -> Result:
        number = promote(
            self.work.state,
            statement.source,
            statement.target,
            self.principal,
            self.work.clock.now(),
            self.work.serving,
        )
        return _moved(statement.target, number, f"holds all pointers of {statement.source}")

    def _rollback(self, statement: RollbackEnvironment) -> Result:
        number = rollback(
            self.work.state,
            statement.environment,
            statement.generation,
            self.principal,
            self.work.clock.now(),
        )
        made = environments.generation(self.work.state, statement.environment, number)
        assert made is not None
        return _moved(statement.environment, number, made.reason)

    def _refresh(self, statement: RefreshDataset) -> Result:
        pointer = self._pointer(Kind.DATASET, statement.name)
        graph = self.deployed(self.environment)
        recipe = graph.get(statement.name).recipe
        return self._only(
            CollectDataset(statement.name, recipe, "asked for by REFRESH", pointer.target), graph
        )

    def _retrain(self, statement: RetrainModel) -> Result:
        pointer = self._pointer(Kind.MODEL, statement.name)
        graph = self.deployed(self.environment)
        if statement.using:
            graph = self.compiled([_with_using(r.declaration, statement) for r in graph])
        champion = int(pointer.target) if pointer.target else None
        recipe = graph.get(statement.name).recipe
        return self._only(TrainModel(statement.name, recipe, "asked for by RETRAIN", champion), graph)

    def _drill(self, statement: Drill) -> Result:
        from tilth.runtime.drills.drill import drill

        graph = self.deployed(self.environment)
        done = drill(self._act(), graph, statement.model, statement.drill)
        return Result(None, done.text, done.facts, refused=not done.ok)

    def _only(self, action: CollectDataset | TrainModel, graph: Graph) -> Result:
        number, _ = environments.pointers_of(self.work.state, self.environment)
        return self._applied(
            executor.apply(self._act(), graph, plan=Plan(self.environment, number, (action,)), tell=self.tell)
        )

    def _pointer(self, kind: Kind, name: str) -> Any:
        _, pointers = environments.pointers_of(self.work.state, self.environment)
        known = {p.name: p for p in pointers if p.kind is kind}
        if name not in known:
            raise UnknownNameError(
                f"There is no {kind.value} `{name}` in `{self.environment}`.",
                hint=did_you_mean(name, known, f"{kind.value}s"),
            )
        return known[name]

    # --- declaring at a prompt ---

    def _create(self, statement: Declaration) -> Result:
        there = False

        def graph_of() -> Graph | None:
            nonlocal there
            present = {r.name: r.declaration for r in self.deployed(self.environment)}
            there = statement.name in present and statement.if_not_exists
            if there:
                return None
            if statement.name in present and not statement.or_replace:
                raise ProjectError(
                    f"`{statement.name}` is there already.",
                    hint="Write CREATE OR REPLACE, or CREATE ... IF NOT EXISTS.",
                    where=statement.position,
                )
            return self.compiled([*(d for n, d in present.items() if n != statement.name), statement])

        done = self._changed(statement.name, graph_of)
        if there:
            return Result(None, f"`{statement.name}` is there already.", {"name": statement.name})
        return done

    def _drop(self, statement: Drop) -> Result:
        there = True

        def graph_of() -> Graph | None:
            nonlocal there
            graph = self.deployed(self.environment)
            found = graph.find(statement.name)
            there = found is not None and found.kind is statement.kind
            if not there and statement.if_exists:
                return None
            if not there:
                names = [r.name for r in graph.of_kind(statement.kind)]
                raise UnknownNameError(
                    f"There is no {statement.kind.value} `{statement.name}`.",
                    hint=did_you_mean(statement.name, names, f"{statement.kind.value}s"),
                    where=statement.position,
                )
            return self.compiled(_without(graph, statement.name))

        done = self._changed(statement.name, graph_of)
        return done if there else Result(None, f"There is no {statement.kind.value} `{statement.name}`.", {})

    def _changed(self, name: str, graph_of: Callable[[], Graph | None]) -> Result:
        change = executor.Change(name, graph_of)
        return self._applied(executor.apply(self._act(), change, tell=self.tell))

    def _applied(self, done: Applied) -> Result:
        return Result(None, applied_words(done), applied_facts(done), refused=bool(done.refusals))


def applied_words(done: Applied) -> str:
    """A finished apply for people: one line an action, then where the environment stands."""
    sign = {
        executor.DONE: "ok",
        executor.REFUSED: "refused",
        executor.HELD: "held",
        executor.FAILED: "failed",
    }
    rows = []
    for d in done.did:
        rows.append(f"{sign[d.status]:>7}  {d.action.name}: {d.text}  ({d.seconds:.1f} s)")
        rows += [f"   note  {told}" for told in d.notices]
    rows += [f"         {n.name}: {n.text}" for n in done.plan.notes]
    if not done.did:
        rows.append("Nothing to do.")
    rows.append(f"{done.plan.environment} is at generation {done.generation}.")
    return "\n".join(rows)


def applied_facts(done: Applied) -> dict[str, Any]:
    """The same for programs."""
    return {
        "environment": done.plan.environment,
        "generation": done.generation,
        "actions": [
            {
                "action": type(d.action).__name__,
                "name": d.action.name,
                "reason": d.action.reason,
                "status": d.status,
                "text": d.text,
                "target": d.target,
                "seconds": round(d.seconds, 3),
                "notices": list(d.notices),
            }
            for d in done.did
        ],
        "notes": [{"name": n.name, "text": n.text} for n in done.plan.notes],
    }


def _without(graph: Graph, name: str) -> list[Declaration]:
    """The declarations without that of a resource that no other is made from."""
    users = [r.name for r in graph.downstream(name)]
    if users:
        raise ProjectError(f"`{name}` is used by {', '.join(users)}.", hint=f"Drop {users[-1]} first.")
    return [r.declaration for r in graph if r.name != name]


def _with_using(declared: Declaration, statement: RetrainModel) -> Declaration:
    """The declaration, and if it is the model's, with these options in place of its own."""
    if not isinstance(declared, CreateModel) or declared.name != statement.name:
        return declared
    new = dict(declared.using.items) | dict(statement.using.items)
    return replace(declared, using=Options(tuple(new.items())))


def _moved(environment: str, number: int, how: str) -> Result:
    text = f"{environment} is at generation {number}: {how}."
    return Result(None, text, {"environment": environment, "generation": number, "reason": how})


_PERFORM: Mapping[type, Callable[[Session, Any], Result]] = {
    Select: Session._select,
    ExplainPredict: Session._explain,
    PlanStatement: Session._plan,
    ApplyStatement: Session._apply,
    PromoteEnvironment: Session._promote,
    RollbackEnvironment: Session._rollback,
    RefreshDataset: Session._refresh,
    RetrainModel: Session._retrain,
    Drill: Session._drill,
    Drop: Session._drop,
}

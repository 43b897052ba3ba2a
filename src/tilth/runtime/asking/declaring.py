"""Declaring at a prompt: CREATE, DROP and ALTER, each an immediately applied plan of one resource, against what is deployed at that moment.

What is declared so stands in no file: `tilth adopt` writes it there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tilth.core.errors import ProjectError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.kinds import KINDS, show
from tilth.kinds.altering import altered
from tilth.resources.graph import Graph
from tilth.runtime import secrets
from tilth.runtime.applying import executor, handlers
from tilth.runtime.applying.executor import Applied
from tilth.runtime.asking.prompt import Prompt, Result
from tilth.sql.language.acts import Alter
from tilth.sql.language.statements import CreateSource, Declaration, Drop, Options, Secret


def create(at: Prompt, statement: Declaration) -> Result:
    """Declare a resource: added to what is deployed at that moment. A password that MindsDB's CREATE DATABASE writes out is kept in a file."""
    there = statement.if_not_exists and at.deployed(at.environment).find(statement.name) is not None
    if not isinstance(statement, CreateSource) or not statement.open or there:
        return _create(at, statement)
    with _kept(at, statement.name, statement.options, statement.open) as (options, told):
        done = _create(at, replace(statement, options=options, open=()))
    done.told.extend(told)
    return done


@contextmanager
def _kept(
    at: Prompt, name: str, options: Options, keys: Iterable[str]
) -> Iterator[tuple[Options, list[str]]]:
    """The options with a secret file for the value of each of these, which is taken back after an error, and what is told of it."""
    kept = {key: secrets.keep(at.work.root, f"{name}.{key}", str(options.get(key))) for key in keys}
    told = [
        f"the {key} of `{name}` is kept in a file that this user alone can read, and declared as SECRET '{reference}'"
        for key, reference in kept.items()
    ]
    try:
        yield Options(tuple((k, Secret(kept[k]) if k in kept else v) for k, v in options.items)), told
    except BaseException:
        for reference in kept.values():
            secrets.forget(at.work.root, reference)
        raise


def _create(at: Prompt, statement: Declaration) -> Result:
    at.room()
    there = False

    def graph_of() -> Graph | None:
        nonlocal there
        present = {r.name: r.declaration for r in at.deployed(at.environment)}
        there = statement.name in present and statement.if_not_exists
        if there:
            return None
        if statement.name in present and not statement.or_replace:
            raise ProjectError(
                f"`{statement.name}` is there already.",
                hint="Write CREATE OR REPLACE, or CREATE ... IF NOT EXISTS.",
                where=statement.position,
            )
        others = (d for n, d in present.items() if n != statement.name)
        plainly = replace(statement, told=()) if getattr(statement, "told", ()) else statement  # type: ignore[type-var]
        return at.compiled([*_as_renamed(others, statement), plainly])

    done = _changed(at, statement.name, graph_of)
    if there:
        return Result(None, f"`{statement.name}` is there already.", {"name": statement.name})
    return done


def _as_renamed(others: Iterable[Declaration], statement: Declaration) -> list[Declaration]:
    """What else is deployed; where the statement renames something, without that, and with its new name in all the others."""
    said = statement.renamed_from
    if said is None:
        return list(others)
    names = {said.name: statement.name}
    return [KINDS.renamed(d, names) for d in others if (d.kind, d.name) != (statement.kind, said.name)]


def drop(at: Prompt, statement: Drop) -> Result:
    """Take a resource away from what is deployed at that moment."""
    there = True

    def graph_of() -> Graph | None:
        nonlocal there
        graph = at.deployed(at.environment)
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
        return at.compiled(_without(graph, statement.name))

    done = _changed(at, statement.name, graph_of)
    return done if there else Result(None, f"There is no {statement.kind.value} `{statement.name}`.", {})


def alter(at: Prompt, statement: Alter) -> Result:
    """Declare a resource that is there with some of its options changed, and the rest as it is deployed at that moment."""
    open_keys = [k for k, v in statement.options.items if k == "password" and isinstance(v, str)]
    if not statement.theirs or not open_keys:
        return _alter(at, statement)
    with _kept(at, statement.name, statement.options, open_keys) as (options, told):
        done = _alter(at, replace(statement, options=options))
    done.told.extend(told)
    return done


def _alter(at: Prompt, statement: Alter) -> Result:
    at.room()
    lines: list[str] = []
    gone = False

    def graph_of() -> Graph | None:
        nonlocal gone
        graph = at.deployed(at.environment)
        found = graph.find(statement.name)
        gone = found is None and statement.if_exists
        if gone:
            return None
        if found is None or found.kind is not statement.kind:
            names = [r.name for r in graph.of_kind(statement.kind)]
            raise UnknownNameError(
                f"There is no {statement.kind.value} `{statement.name}` in `{at.environment}`.",
                hint=did_you_mean(statement.name, names, f"{statement.kind.value}s"),
                where=statement.position,
            )
        changed = altered(found.declaration, statement)
        lines.extend(_differences(found.text, show(changed)))
        if not lines:
            return None
        return at.compiled([changed if r.name == found.name else r.declaration for r in graph])

    done = _changed(at, statement.name, graph_of)
    if not lines:
        words = (
            f"There is no {statement.kind.value} `{statement.name}`."
            if gone
            else f"`{statement.name}` says so already."
        )
        return Result(None, words, {"name": statement.name})
    done.text = "\n".join([*lines, done.text])
    done.facts = {**done.facts, "changed": lines}
    done.told.extend(_of_files(at, statement.name))
    return done


def _differences(before: str, after: str) -> list[str]:
    """The lines of a declaration that go and that come."""
    old, new = before.splitlines(), after.splitlines()
    gone = [f"- {line.strip()}" for line in old if line not in new]
    return gone + [f"+ {line.strip()}" for line in new if line not in old]


def _of_files(at: Prompt, name: str) -> list[str]:
    """What the next APPLY would make of a resource that the files declare."""
    try:
        found = at.declared().find(name)
    except TilthError:
        return []  # what is wrong with the files is said when they are read for themselves
    if found is None:
        return []
    place = found.declaration.position
    where = f" in {place.file}" if place is not None and place.file else ""
    return [
        f"`{name}` is declared{where}, and the next APPLY makes it as it is written there: change the text there too"
    ]


def _changed(at: Prompt, name: str, graph_of: Callable[[], Graph | None]) -> Result:
    change = executor.Change(name, graph_of)
    return applied(executor.apply(at.act(), change, tell=at.tell))


def applied(done: Applied) -> Result:
    """A finished apply as the answer of a statement."""
    return Result(None, applied_words(done), applied_facts(done), refused=bool(done.refusals))


def applied_words(done: Applied) -> str:
    """A finished apply for people: one line an action, then where the environment stands."""
    sign = {
        handlers.DONE: "ok",
        handlers.REFUSED: "refused",
        handlers.HELD: "held",
        handlers.WAITING: "waiting",
        handlers.FAILED: "failed",
    }
    rows = []
    for d in done.did:
        rows.append(f"{sign[d.status]:>7}  {d.action.name}: {d.text}  ({d.seconds:.1f} s)")
        rows += [f"   note  {told}" for told in d.notices]
    rows += [f"         {n.name}: {n.text}" for n in (*done.plan.notes, *done.stays)]
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
        "stays": [{"name": s.name, "text": s.text} for s in done.stays],
    }


def _without(graph: Graph, name: str) -> list[Declaration]:
    """The declarations without that of a resource that no other is made from."""
    users = [r.name for r in graph.downstream(name)]
    if users:
        raise ProjectError(f"`{name}` is used by {', '.join(users)}.", hint=f"Drop {users[-1]} first.")
    return [r.declaration for r in graph if r.name != name]

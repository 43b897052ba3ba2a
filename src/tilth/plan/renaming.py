"""What is, as it will be called: pointers, versions, looks and costs of a resource go along under its new name.

A resource is another's next name when both are remembered under the same one (`resources.naming`): the clause RENAMED FROM
says so once, the state ever after. So a clause that was applied and taken out, or a rollback, leaves nothing to say anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from tilth.plan.actions import Note, Rename
from tilth.plan.snapshot import Current, Pointer
from tilth.resources.kinds import Resource
from tilth.resources.naming import Called
from tilth.sql.language.statements import Kind

Rewritten: TypeAlias = Callable[[str, Mapping[str, str]], str]
"""The text of a declaration in which resources have other names: the text, and new names by old ones."""


def as_it_is(text: str, _names: Mapping[str, str]) -> str:
    """For plans of which no text is compared."""
    return text


def renames(wanted: Iterable[Resource], current: Current) -> tuple[Rename, ...]:
    """What the environment points at under another name than is wanted, in the order in which it is wanted."""
    pointed = {(p.kind, current.histories.origin(p.kind, p.name)): p for p in current.pointers}
    found = []
    for r in wanted:
        before = pointed.get((r.kind, r.remembered))
        if before is not None and before.name != r.name:
            reason = f"the history of {before.name} goes along"
            found.append(Rename(r.kind, r.name, before.recipe, before.name, reason))
    return tuple(found)


def called(wanted: Iterable[Resource], current: Current, rewritten: Rewritten = as_it_is) -> Current:
    """What is, with every name as it is wanted; names of what is not wanted stay."""
    resources = tuple(wanted)
    now: dict[Called, str] = {(r.kind, r.remembered): r.name for r in resources}

    def name(kind: Kind, said: str) -> str:
        return now.get((kind, current.histories.origin(kind, said)), said)

    moved = {a.was: a.name for a in renames(resources, current)}
    aside = {r.origin: r.name for r in resources if r.origin}
    if not (moved or aside):
        return current
    return replace(
        current,
        pointers=tuple(_pointer(p, name(p.kind, p.name), moved, rewritten) for p in current.pointers),
        versions=tuple(replace(v, model=name(Kind.MODEL, v.model)) for v in current.versions),
        signals=tuple((name(Kind.MODEL, model), looks) for model, looks in current.signals),
        costs=tuple(replace(c, name=aside.get(c.name, c.name)) for c in current.costs),
    )


def _pointer(pointer: Pointer, name: str, moved: Mapping[str, str], rewritten: Rewritten) -> Pointer:
    return replace(pointer, name=name, text=rewritten(pointer.text, moved)) if moved else pointer


def notes(resource: Resource, rename: Rename | None, current: Current) -> tuple[Note, ...]:
    """What a reader should know of a new name: that nothing came along, or that requests go elsewhere from then on."""
    said = resource.declaration.renamed_from
    if rename is not None and resource.kind is Kind.ENDPOINT:
        text = f"requests to `{rename.was}` are answered no longer once it is applied; send them to `{resource.name}`"
        return (Note(resource.name, text),)
    if said is None or resource.origin or current.pointer(resource.kind, resource.name) is not None:
        return ()
    return (
        Note(resource.name, f"nothing is remembered of a {resource.kind.value} `{said.name}`: it is new"),
    )

"""A plan in a file: what `tilth plan --out` writes and `tilth apply FILE` does, or refuses.

The file is JSON that people can read; what is signed is its content in canonical form, so that its layout may change and
nothing else. Whose key signs, and what is there now, the runtime knows (`runtime.applying.saved`); here is what the file
says, and every reason to refuse it.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from tilth.core.canonical import canonical, fingerprint, plain
from tilth.core.errors import SavedPlanError, TamperError
from tilth.plan.actions import Action, Estimate, Note, Plan
from tilth.plan.explain import facts, sentence
from tilth.resources.kinds import Resource
from tilth.sql.language.statements import Kind

FORMAT = 1
MOST_BYTES = 16 << 20  # of a file
AGAIN = "Make a new one: tilth plan --out FILE"
_PREFIX = b"tilth.plan\n"
_NO_PLAN = f"{AGAIN}. Only what that wrote can be applied."


@dataclass(frozen=True, slots=True)
class Basis:
    """What a plan was made of, besides the generation that stands in it: it fits nothing else."""

    project: str  # the id of the project's signing key
    declared: str  # of the files; see `declared`
    serving: str  # the environment whose models serve
    release: str  # of tilth


@dataclass(frozen=True, slots=True)
class Saved:
    """A plan with what it was made of, when, and by whom."""

    basis: Basis
    made_at: str
    made_by: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class Unverified:
    """A file's content before its signature was looked at."""

    project: str
    payload: bytes
    signature: bytes
    said: Mapping[str, Any]


def declared(graph: Iterable[Resource]) -> str:
    """A fingerprint of what the files declare: of each resource its text and its recipe. Comments and white space are not in it."""
    return fingerprint(sorted([r.kind.value, r.name, r.recipe, r.text] for r in graph))


# --- to the file -------------------------------------------------------------------------------------------


def content(saved: Saved) -> dict[str, Any]:
    """What the file says, without its signature."""
    return {
        "tilth_plan": FORMAT,
        "project": saved.basis.project,
        "environment": saved.plan.environment,
        "generation": saved.plan.generation,
        "declared": saved.basis.declared,
        "serving": saved.basis.serving,
        "tilth": saved.basis.release,
        "made_at": saved.made_at,
        "made_by": saved.made_by,
        "actions": facts(saved.plan)["actions"],
        "notes": [plain(n) for n in saved.plan.notes],
    }


def payload(said: Mapping[str, Any]) -> bytes:
    """The bytes that are signed: all that the file says, in one form."""
    return _PREFIX + canonical({k: v for k, v in said.items() if k != "signature"})


def text(said: Mapping[str, Any], signature: bytes) -> str:
    """The file."""
    signed = {**said, "signature": base64.b64encode(signature).decode()}
    return json.dumps(signed, indent=2, ensure_ascii=False) + "\n"


# --- from the file -----------------------------------------------------------------------------------------


def unverified(text: str, name: str) -> Unverified:
    """What a text says; SavedPlanError when it is no plan, or one of a format that this release does not know."""
    try:
        said = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
        number = said["tilth_plan"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SavedPlanError(f"{name} is not a plan that tilth saved.", hint=_NO_PLAN) from error
    if type(number) is not int or number < 1:
        raise SavedPlanError(f"{name} is not a plan that tilth saved.", hint=_NO_PLAN)
    if number > FORMAT:
        raise SavedPlanError(
            f"{name} is a plan in format {number}, and this release of tilth reads format {FORMAT}.",
            hint="Apply it with the release that made it, or plan again with this one.",
        )
    try:
        signature = base64.b64decode(said["signature"], validate=True)
        if base64.b64encode(signature).decode() != said["signature"]:
            raise ValueError("bits that stand for nothing")
        return Unverified(str(said["project"]), payload(said), signature, said)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SavedPlanError(f"{name} is a plan without its signature.", hint=_NO_PLAN) from error


def edited(name: str) -> TamperError:
    """The signature of a plan does not hold."""
    return TamperError(
        f"{name} is not as tilth wrote it: somebody edited it, or a part was lost.",
        hint=f"{AGAIN}. What is to be done is said by the files of the project, not by a plan.",
    )


def saved(said: Mapping[str, Any], actions: Iterable[type]) -> Saved:
    """The plan of a verified file; `actions` are the classes that a plan can hold. SavedPlanError for what does not fit them."""
    known = {cls.__name__: cls for cls in actions}
    try:
        basis = Basis(said["project"], said["declared"], said["serving"], said["tilth"])
        plan = Plan(
            said["environment"],
            said["generation"],
            tuple(_action(one, known) for one in said["actions"]),
            tuple(Note(n["name"], n["text"], n["withheld"]) for n in said["notes"]),
        )
        return Saved(basis, said["made_at"], said["made_by"], plan)
    except (ValueError, KeyError, TypeError) as error:
        raise SavedPlanError(
            "The plan holds something that this release of tilth does not know.", hint=AGAIN
        ) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without a key that stands there twice: readers would differ on what it says."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _action(said: Mapping[str, Any], known: Mapping[str, type]) -> Action:
    cls = known[said["action"]]
    values = {f.name: _field(f.name, said[f.name]) for f in dataclasses.fields(cls)}
    found: Action = cls(**values)
    return found


def _field(name: str, value: Any) -> Any:
    if name == "kind":
        return Kind(value)
    return Estimate(value["seconds"], value["memory"]) if name == "estimate" else value


# --- whether it fits ---------------------------------------------------------------------------------------


def require(found: Saved, now: Basis, environment: str | None) -> None:
    """SavedPlanError unless the plan was made of what is there now, and for that environment where one is asked for."""
    made, plan = found.basis, found.plan
    if environment is not None and environment != plan.environment:
        raise SavedPlanError(
            f"The plan is one for `{plan.environment}`, not for `{environment}`.",
            hint=f"Leave --env out, or make one for it: tilth plan --env {environment} --out FILE",
        )
    if made.release != now.release:
        raise SavedPlanError(
            f"The plan was made by tilth {made.release}, and this is {now.release}.",
            hint=f"{AGAIN}. Another release may make things differently.",
        )
    if made.serving != now.serving:
        raise SavedPlanError(
            f"Since the plan was made, tilth.toml says that models serve in `{now.serving}`; it was `{made.serving}`.",
            hint=AGAIN,
        )
    if made.declared != now.declared:
        raise SavedPlanError(
            "Since the plan was made, what the files declare has changed.",
            hint=f"{AGAIN}. Check out what it was made of to apply it as it is.",
        )


def still(found: Plan, fresh: Plan) -> Plan:
    """The plan, with notes on what is due by now besides; SavedPlanError when the environment moved, or an action is no
    longer what there is to do.
    """
    if found.generation != fresh.generation:
        raise SavedPlanError(
            f"Since the plan was made, `{found.environment}` moved from generation {found.generation} to {fresh.generation}.",
            hint=AGAIN,
        )
    due = {_task(a): a for a in fresh.actions}
    for action in found.actions:
        if _task(action) not in due:
            raise SavedPlanError(
                f"Since the plan was made, this is no longer to be done so: {sentence(action)}.",
                hint=f"{AGAIN}. Something that it is made from was made meanwhile, or a gate has spoken.",
            )
    planned = {_task(a) for a in found.actions}
    more = tuple(
        Note(a.name, f"not in the plan, and due by now: {a.does} ({a.reason})")
        for task, a in due.items()
        if task not in planned
    )
    return dataclasses.replace(found, notes=(*found.notes, *more))


def _task(action: Action) -> Action:
    """The action without why it is there and what it would take: those change with the time of day."""
    assert dataclasses.is_dataclass(action)
    bare = dataclasses.replace(action, reason="", estimate=Estimate())
    assert not isinstance(bare, type)
    return bare

"""Which statements are MindsDB's, and what each says here. Asked before tilth's own grammar, which reads all the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from tilth.core.errors import LanguageError, Position, UnsupportedError
from tilth.sql.language import clauses, prefix, values
from tilth.sql.language.acts import Evaluate, InsertInto, Noted, PromoteModel, RetrainModel, Statement
from tilth.sql.language.mindsdb import databases, learning, lists, updates
from tilth.sql.language.mindsdb.absent import ABSENT, absent
from tilth.sql.language.statements import Declaration, Drop, Kind, Options
from tilth.sql.language.tokens import Cursor

Parse: TypeAlias = Callable[[Cursor, bool, Position], Declaration]
ACTIVE = "chosen by hand, as MindsDB's SET active does"
_DROPS = {"PREDICTOR": Kind.MODEL, "DATABASE": Kind.SOURCE}
_CHOOSE = "Write SET active = late.3, or PROMOTE MODEL late VERSION 3."


def read(c: Cursor, kinds: Mapping[str, Parse]) -> Statement | None:
    """The statement, if it is one of MindsDB's; None, with nothing taken, if it is not."""
    start = c.i
    found = _READ[c.key](c, kinds) if c.key in _READ else None
    if found is None:
        c.i = start
    return found


def _create(c: Cursor, kinds: Mapping[str, Parse]) -> Statement | None:
    start = c.i
    c.i += 1
    or_replace = c.take("OR", "REPLACE")
    word = c.key
    if word in ABSENT:
        raise absent(c, "CREATE", word)
    c.i += 1
    where = c.position(start, min(c.i + 1, len(c.tokens)))
    if word == "DATABASE":
        return databases.create(c, or_replace, where)
    if word == "PROJECT":
        first, _ = c.i, c.take("IF", "NOT", "EXISTS")
        at = c.i
        return databases.project(c, prefix.resource(c, "the project's name"), first, at)
    if word == "ML_ENGINE":
        return _engine(c, start)
    if word == "PREDICTOR" or (word == "TABLE" and _is_model(c)):
        return kinds["MODEL"](c, or_replace, where) if "MODEL" in kinds else None
    return None


def _is_model(c: Cursor) -> bool:
    """Whether `[mindsdb.]n FROM db (` or `n PREDICT` follows: MindsDB's first way of writing CREATE MODEL."""
    at = c.i + 3 if c.at("IF", "NOT", "EXISTS") else c.i
    at += 2 if c.keys[at : at + 2] == ["MINDSDB", "."] else 0
    return c.keys[at + 1 : at + 2] in (["FROM"], ["PREDICT"])


def _engine(c: Cursor, start: int) -> Noted:
    c.take("IF", "NOT", "EXISTS")
    name = c.name("the engine's name", reserved=False)
    c.expect("FROM", hint=f"Write CREATE ML_ENGINE {name} FROM lightwood.")
    c.name("the engine that it is of", reserved=False)
    written = " ".join(c.text[t.start : t.end + 1] for t in c.tokens[start : c.i])
    c.skip_to(frozenset({";"}))  # parameters are keys of services
    return Noted(
        written,
        f"Engines are here without CREATE ML_ENGINE: USING (engine = '...') names one, and SELECT * FROM tilth.engines lists them; `{name}` stands for nothing.",
    )


def _alter(c: Cursor, kinds: Mapping[str, Parse]) -> Statement | None:
    """`ALTER DATABASE n PARAMETERS = {...}`."""
    del kinds
    where = c.position()
    c.i += 1
    if c.key in ABSENT:
        raise absent(c, "ALTER", c.key)
    if not c.take("DATABASE"):
        return None
    exists = c.take("IF", "EXISTS")
    return databases.alter(c, exists, where)


def _drop(c: Cursor, kinds: Mapping[str, Parse]) -> Statement | None:
    del kinds
    start = c.i
    where = c.position()
    c.i += 1
    word = c.key
    if word in ABSENT:
        raise absent(c, "DROP", word)
    c.i += 1
    exists = c.take("IF", "EXISTS")
    if word in _DROPS:
        kind = _DROPS[word]
        return Drop(kind, prefix.resource(c, f"the {kind}'s name"), exists, where)
    if word == "TABLE" and (c.following != "." or c.at("MINDSDB", ".")):
        return Drop(Kind.MODEL, prefix.resource(c, "the model's name"), exists, where)
    if word not in ("PROJECT", "ML_ENGINE"):
        return None
    at = c.i
    name = c.name("its name", reserved=False)
    if word == "PROJECT" and name.lower() == prefix.PROJECT:
        raise UnsupportedError(
            f"The project `{prefix.PROJECT}` is this project, which no statement drops.",
            hint="DROP MODEL and the like take away what is in it.",
            where=c.position(at),
        )
    what = "no project of that name: names are not kept apart by projects here" if word == "PROJECT" else "nothing to drop: engines are here without CREATE ML_ENGINE"  # fmt: skip
    written = " ".join(c.text[t.start : t.end + 1] for t in c.tokens[start : c.i])
    return Noted(written, f"There is {what}.")


def _use(c: Cursor, kinds: Mapping[str, Parse]) -> Noted | None:
    del kinds
    c.i += 1
    if not c.at_name or c.word.lower() != prefix.PROJECT:
        return None
    c.i += 1
    return Noted(
        f"USE {prefix.PROJECT}",
        f"The project `{prefix.PROJECT}` is this project: names are found without it, and with it before them.",
    )


def _set(c: Cursor, kinds: Mapping[str, Parse]) -> PromoteModel | None:
    """`SET [model_]active [=] n.v`."""
    del kinds
    c.i += 1
    if c.key not in ("ACTIVE", "MODEL_ACTIVE"):
        return None
    c.i += 1
    c.take("=")
    prefix.passed(c)
    name = c.name("a model's name", fold=True)
    if not (c.take(".") and c.at_number and c.word.isdecimal()):
        c.fail(f"Expected the version behind the model's name here{c.instead()}.", _CHOOSE)
    return PromoteModel(name, values.whole(c, "the version", 1), ACTIVE)


def _update(c: Cursor, kinds: Mapping[str, Parse]) -> PromoteModel | InsertInto:
    """`UPDATE [mindsdb.]models[_versions] SET active = 1 WHERE name = 'n' AND version = v`, or a table of a source."""
    del kinds
    where = c.position()
    c.i += 1
    start = c.i
    prefix.passed(c)
    if c.key not in ("MODELS", "MODELS_VERSIONS", "PREDICTORS") or c.following != "SET":
        c.i = start
        return updates.update(c, where)
    c.i += 2
    said: dict[str, object] = {"active": None, "name": None, "version": None, "project": None}
    _equal(c, said, ("active",))
    c.expect("WHERE", hint="Write WHERE name = 'late' AND version = 3.")
    _equal(c, said, ("name", "version", "project"))
    while c.take("AND"):
        _equal(c, said, ("name", "version", "project"))
    name, version, active = said["name"], said["version"], said["active"]
    if active not in (1, True) or not isinstance(name, str) or not isinstance(version, int):
        raise LanguageError(
            "This chooses no version: it has to say SET active = 1 WHERE name = '...' AND version = a number.",
            hint=_CHOOSE,
            where=c.position(c.i - 1),
        )
    if said["project"] not in (None, prefix.PROJECT):
        raise UnsupportedError(f"There is one project here, and it is called `{prefix.PROJECT}`.", hint=_CHOOSE, where=c.position(c.i - 1))  # fmt: skip
    return PromoteModel(name.lower(), version, ACTIVE)


def _equal(c: Cursor, said: dict[str, object], known: tuple[str, ...]) -> None:
    at = c.i
    key = c.name("a column", reserved=False).lower()
    if key not in known:
        raise c.unknown(f"`{key}` does not stand here.", key, known, "columns", at)
    c.expect("=", hint=_CHOOSE)
    said[key] = values.value(c)


def _evaluate(c: Cursor, kinds: Mapping[str, Parse]) -> Evaluate:
    """`EVALUATE metric FROM (query)`; MindsDB's USING after it is told of as any option that does not fit."""
    del kinds
    where = c.position()
    c.i += 1
    metric = c.name("a metric's name", reserved=False).lower()
    c.expect("FROM", hint=f"Write EVALUATE {metric} FROM (SELECT y AS actual, m.y AS prediction FROM ...).")
    first, last = c.balanced("a query with the columns actual and prediction")
    query = clauses.query(c, first, last)
    told = (
        [f"USING {k} has no counterpart here, and was passed over" for k, _ in values.using(c).items]
        if c.take("USING")
        else []
    )
    return Evaluate(metric, query, where, tuple(told))


def _finetune(c: Cursor, kinds: Mapping[str, Parse]) -> RetrainModel:
    """`FINETUNE [MODEL] n[.v] FROM db (query) [USING ..]`: RETRAIN that goes on from what serves, on those rows."""
    del kinds
    c.i += 1
    if c.at("MODEL") and c.following not in (".", "FROM", "USING"):
        c.i += 1
    prefix.passed(c)
    name = c.name("a model's name", fold=True)
    told = [
        "FINETUNE is RETRAIN with retrain = 'warm': a version that was made by the same statement is gone on from, else all is fitted anew, from these rows alone"
    ]
    if c.take("."):
        version = values.whole(c, "the version", 1)
        told.append(f"version {version} is named, and none but the one that serves is gone on from")
    c.expect("FROM", hint=f"Write FINETUNE {name} FROM ops (SELECT ...).")
    source = clauses.rows_from(c)
    using = values.using(c) if c.take("USING") else Options()
    active, using = clauses.active(c, using)
    using, over = learning.passed_over(using)
    told += over
    items = (*((k, v) for k, v in using.items if k != "retrain"), ("retrain", "warm"))
    return RetrainModel(name, Options(items), source, active, tuple(told))


def _show(c: Cursor, kinds: Mapping[str, Parse]) -> Statement | None:
    del kinds
    c.i += 1
    return lists.show(c)


def _describe(c: Cursor, kinds: Mapping[str, Parse]) -> Statement | None:
    del kinds
    c.i += 1
    return lists.describe(c)


_READ: Mapping[str, Callable[[Cursor, Mapping[str, Parse]], Statement | None]] = {
    "CREATE": _create,
    "ALTER": _alter,
    "DROP": _drop,
    "USE": _use,
    "SET": _set,
    "UPDATE": _update,
    "EVALUATE": _evaluate,
    "FINETUNE": _finetune,
    "SHOW": _show,
    "DESCRIBE": _describe,
}

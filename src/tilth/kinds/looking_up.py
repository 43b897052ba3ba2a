"""LOOK UP of CREATE ENDPOINT: the dataset whose rows complete requests, and the key that requests give instead.

What it needs of columns that are really there is bound in `runtime.applying.looking_up`.
"""

from __future__ import annotations

from collections.abc import Mapping

from tilth.core.errors import ProjectError
from tilth.core.names import did_you_mean
from tilth.resources.making import Known
from tilth.sql.language import values, writing
from tilth.sql.language.statements import CreateDataset, CreateEndpoint, CreateModel, LookUp
from tilth.sql.language.tokens import Cursor

EXAMPLE = "LOOK UP customers (customer_id)"


def parse(c: Cursor) -> LookUp:
    """`customers (customer_id) [ELSE REFUSE | ELSE GAPS]`."""
    name = c.name("a dataset's name", fold=True)
    key = c.names("a column of its KEY")
    if not c.take("ELSE"):
        return LookUp(name, key)
    at = c.i
    word = c.name("REFUSE or GAPS", fold=True)
    if word not in ("refuse", "gaps"):
        c.fail(
            f"`{word}` is not what becomes of a request whose key is not there.",
            f"Write {EXAMPLE} ELSE REFUSE, or ELSE GAPS.",
            at=at,
        )
    return LookUp(name, key, gaps=word == "gaps")


def show(one: LookUp | None) -> str | None:
    """The clause in its canonical form."""
    if one is None:
        return None
    return (
        f"LOOK UP {writing.name(one.dataset)} ({writing.columns(one.key)}){' ELSE GAPS' if one.gaps else ''}"
    )


def option(c: Cursor, key: str, found: LookUp) -> LookUp:
    """The clause with its option `else` of ALTER, which is read."""
    del key
    at = c.i
    word = values.value(c)
    if not isinstance(word, str) or word.lower() not in ("refuse", "gaps"):
        c.fail(
            "What becomes of a key that is not there is 'refuse' or 'gaps'.", "Write else = 'gaps'.", at=at
        )
    return LookUp(found.dataset, found.key, gaps=word.lower() == "gaps")


def check(d: CreateEndpoint, known: Known) -> None:
    """ProjectError where the dataset cannot give one row of a key, or the model takes no rows."""
    one = d.look_up
    if one is None:
        return
    model, dataset = known[d.model], known[one.dataset]
    if isinstance(model, CreateModel) and model.order_by:
        raise ProjectError(
            f"Endpoint `{d.name}` looks up rows, and model `{d.model}` forecasts: it answers from series, not from a row.",
            hint="Leave out LOOK UP.",
            where=d.position,
        )
    assert isinstance(dataset, CreateDataset)
    _check_key(d, one, dataset)


def _check_key(d: CreateEndpoint, one: LookUp, dataset: CreateDataset) -> None:
    """The columns are of the KEY; where they are not all of it, EVENT TIME says which row is the newest."""
    keys: Mapping[str, str] = {k.lower(): k for k in dataset.key}
    given = [k.lower() for k in one.key]
    twice = next((k for k in given if given.count(k) > 1), None)
    if twice is not None:
        raise ProjectError(
            f"LOOK UP of endpoint `{d.name}` names `{twice}` twice.", hint="Name it once.", where=d.position
        )
    for name, folded in zip(one.key, given, strict=True):
        if folded not in keys:
            hint = (
                did_you_mean(name, dataset.key, "columns of its KEY")
                if keys
                else f"Declare it: CREATE OR REPLACE DATASET {one.dataset} KEY ({', '.join(one.key)}) ..."
            )
            raise ProjectError(
                f"Endpoint `{d.name}` looks up `{one.dataset}` by `{name}`, which is not in its KEY.",
                hint=hint,
                where=d.position,
            )
    if len(given) < len(keys) and dataset.event_time is None:
        rest = ", ".join(k for folded, k in keys.items() if folded not in given)
        raise ProjectError(
            f"Dataset `{one.dataset}` may have several rows of one {', '.join(one.key)}, and no EVENT TIME that says which is the newest.",
            hint=f"Declare its EVENT TIME, or look up by its whole KEY: LOOK UP {one.dataset} ({', '.join(dataset.key)}). Its KEY also has: {rest}.",
            where=d.position,
        )

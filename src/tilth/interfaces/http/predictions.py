"""`POST /predict/<endpoint>`: plain JSON rows in, plain JSON answers out.

The body is one row (an object), an array of rows, or `{"rows": [...], "outputs": [...]}`; outputs may also stand in the
query (`?outputs=late,late_probabilities`). One row gives `{"late":true,...,"version":3,"digest":"...","id":"..."}`, many
give `{"rows":[...],"version":...}`. A model that has an input called `rows` takes arrays only.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qs

import msgspec

from tilth.core.errors import InputError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.schema import DataType
from tilth.ml.model.answerer import input_names
from tilth.ml.model.once import whole
from tilth.runtime.serving.answering import Answering, Reply, Route

MOST_ROWS = 20_000  # in one request
MOST_EXPLAINED = 200


class Many(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request for many rows."""

    rows: list[msgspec.Raw]
    outputs: list[str] | None = None


_MANY = msgspec.json.Decoder(Many)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


async def predict(answering: Answering, route: Route, body: bytes, query: bytes) -> tuple[bytes, Reply]:
    """The answer's body, and what it was made of. Plain single rows have a shorter way: `Answering.one`."""
    outputs = _outputs(query)
    stripped = body.strip()
    if not stripped:
        raise _empty(route)
    if stripped[:1] == b"[":
        return await _many(answering, route, _array(route, stripped), outputs)
    rows = _rows(route, stripped)
    if rows is not None:
        return await _many(answering, route, rows.rows, rows.outputs or outputs)
    reply = await answering.many(route, [stripped], outputs, alone=True)
    return reply.one(), reply


async def _many(
    answering: Answering, route: Route, raw: Sequence[msgspec.Raw], outputs: Sequence[str] | None
) -> tuple[bytes, Reply]:
    reply = await answering.many(route, checked(raw, route, outputs), outputs)
    return reply.many(), reply


def checked(raw: Sequence[msgspec.Raw | bytes], route: Route, outputs: Sequence[str] | None) -> list[bytes]:
    """The rows, if there are not too many for what is asked of them."""
    slow = {o.name for o in route.leading.model.outputs if o.type is DataType.JSON}  # explanations
    explained = slow.intersection(outputs or ())
    most = MOST_EXPLAINED if explained else MOST_ROWS
    if len(raw) > most:
        wanted = f" for {', '.join(f'`{o}`' for o in sorted(explained))}" if explained else ""
        raise InputError(
            f"{len(raw):,} rows are more than the {most:,} that one request{wanted} may hold.",
            hint="Send them in parts, or predict a table with SELECT ... JOIN model.",
        )
    return [bytes(row) for row in raw]


def _rows(route: Route, body: bytes) -> Many | None:
    """The body as `{"rows": [...]}`, if it is that."""
    if "rows" in input_names(route.champion.model):
        return None
    try:
        found = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if "rows" not in found:
            return None
        return _envelope(body, _MANY.decode(body))
    except msgspec.ValidationError as error:
        if _is_object(body):
            raise InputError(
                f"`rows` must be an array of objects, `outputs` an array of names: {error}.",
                hint='Send {"rows": [{...}, {...}]}, or a row by itself.',
            ) from error
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _envelope(body: bytes, many: Many) -> Many:
    """The same; InputError when `rows` or `outputs` is given twice: there is more in the body than its rows and names."""
    names = 1 if many.outputs is None else 2 + len(many.outputs)
    if body.count(b'"') != 2 * names + sum(bytes(row).count(b'"') for row in many.rows):
        whole(body)
    return many


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(body), dict)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def _array(route: Route, body: bytes) -> list[msgspec.Raw]:
    try:
        return _ARRAY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        names = did_you_mean("", input_names(route.champion.model), "inputs")
        raise InputError(
            f"The rows are not JSON: {error}.", hint=f"Send [{{...}}, {{...}}]. {names}"
        ) from error


def _outputs(query: bytes) -> list[str] | None:
    """The names in `?outputs=a,b`; other parameters are not known."""
    if not query:
        return None
    given = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    for name in given:
        if name != "outputs":
            raise UnknownNameError(
                f"There is no parameter `{name}`.", hint="The one there is: ?outputs=<name>,<name>."
            )
    names = [name.strip() for text in given.get("outputs", []) for name in text.split(",")]
    return [name for name in names if name] or None


def _empty(route: Route) -> InputError:
    model = route.champion.model
    names = did_you_mean("", input_names(model), f"inputs of {model.name}")
    return InputError("The body is empty.", hint=f"Send a JSON object with the model's inputs. {names}")

"""Completes requests: what a row lacks comes from the newest row of a dataset that has the request's key.

A request is completed as the JSON that it is, before anything else looks at it, so that what is answered, logged and shown
to a new version is one row. What the request gives stays, also a null. Which store the rows are in is `stores`'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from tilth.core.canonical import canonical, digest
from tilth.core.errors import InputError
from tilth.core.time import Instant, show_instant
from tilth.ml.data.keyed import KEYS, KeyColumn
from tilth.ml.model.once import apart, whole
from tilth.ml.model.values import Misfit, fitted
from tilth.ports.clock import Clock
from tilth.ports.lookups import Rows

FORM = 2  # of what is in a store
_GIVEN = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NULL = msgspec.Raw(b"null")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Store:
    """What a store is made of: a snapshot's rows by a key, with these columns of them.

    `content` is the snapshot's as it is now, `event_time` is named where several rows may have one key; `replayed` is a time before the
    snapshot was made from which on it is asked, as when the past is replayed.
    """

    dataset: str
    snapshot: str
    content: str
    made_at: Instant
    key: tuple[KeyColumn, ...]
    columns: tuple[str, ...]
    event_time: str | None
    known_at: str | None
    replayed: Instant | None = None

    @property
    def since(self) -> Instant:
        """From when on it is asked."""
        return self.made_at if self.replayed is None else self.replayed

    @property
    def name(self) -> str:
        """32 hex characters over all that its rows depend on."""
        keys = [[k.name, k.type.value] for k in self.key]
        of = [FORM, self.content, keys, list(self.columns), self.event_time, self.known_at]
        of += [] if self.replayed is None else [show_instant(self.replayed)]
        return digest(canonical(of))[:32]


def key_bytes(values: Sequence[Any]) -> bytes:
    """A key as stores have it; its values are of the types of its columns."""
    return encode(list(values))


def micros(at: datetime) -> int:
    """Whole microseconds since 1970."""
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


class Completing:
    """Completes rows for one version of an endpoint. Only one thread at a time asks it."""

    __slots__ = ("_clock", "_endpoint", "_gaps", "_rows", "_strip", "sample", "store")

    def __init__(
        self,
        endpoint: str,
        store: Store,
        rows: Rows,
        taken: Sequence[str],
        clock: Clock,
        sample: Mapping[str, Any],
        *,
        gaps: bool,
    ) -> None:
        """`taken` are the columns that the model takes: a key that is none of them ends here. `sample` is a key to show."""
        self.store, self._rows, self._gaps, self.sample = store, rows, gaps, sample
        self._endpoint, self._clock = endpoint, clock
        self._strip = tuple(k.name for k in store.key if k.name not in taken)

    @property
    def asked(self) -> tuple[KeyColumn, ...]:
        """The columns of the key that the model does not take, and that requests give all the same."""
        return tuple(k for k in self.store.key if k.name in self._strip)

    @property
    def damaged(self) -> bool:
        """Whether its store must be made again."""
        return self._rows.damaged

    def __len__(self) -> int:
        """How many rows can be found."""
        return len(self._rows)

    def completed(self, body: bytes) -> tuple[bytes, str]:
        """The row with what it lacked, and what is to be told of it, mostly nothing.

        InputError for a row that lacks something and gives no key, or one that is not there. What is no JSON object comes back as it is.
        """
        try:
            given = _GIVEN.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return body, ""
        lacking = [c for c in self.store.columns if c not in given]
        if not lacking and not any(k in given for k in self._strip):
            return body, ""
        try:
            _each_once(body)
        except UnicodeDecodeError:
            return body, ""  # the model says so
        told = self._look_up(given, lacking) if lacking else ""
        for name in self._strip:
            given.pop(name, None)
        return encode(given), told

    def _look_up(self, given: dict[str, msgspec.Raw], lacking: Sequence[str]) -> str:
        key = self._key(given, lacking)
        found = None if key is None else self._rows.find(key, micros(self._clock.now()))
        if found is not None:
            row = _GIVEN.decode(found)
            for name in lacking:
                given[name] = row.get(name, _NULL)
            return ""
        shown = ", ".join(f"{k.name} {_shown(given[k.name])}" for k in self.store.key)
        if not self._gaps:
            listed = ", ".join(f"`{c}`" for c in lacking)
            raise InputError(
                f"`{self.store.dataset}` has no row of {shown}, and the request lacks {listed}.",
                hint=f"Give them in the request, or a key that is there; CREATE ENDPOINT ... LOOK UP {self.store.dataset} (...) ELSE GAPS answers without them.",
            )
        for name in lacking:
            given[name] = _NULL
        return f"{self.store.dataset} has no row of {shown}: {', '.join(lacking)} counted as gaps"

    def _key(self, given: Mapping[str, msgspec.Raw], lacking: Sequence[str]) -> bytes | None:
        """The key that the request gives; None where it is null."""
        values = []
        for column in self.store.key:
            if column.name not in given:
                listed = ", ".join(f"`{c}`" for c in lacking)
                raise InputError(
                    f"Missing: {listed}, or `{column.name}`, by which `{self._endpoint}` looks them up in `{self.store.dataset}`.",
                    hint=f"Send `{column.name}` ({KEYS[column.type]}), or the inputs themselves.",
                )
            values.append(_value(column, given[column.name]))
        return None if None in values else key_bytes(values)


def _each_once(body: bytes) -> None:
    """InputError for a name that is given twice: afterwards it would be there once."""
    try:
        apart(body)
    except (msgspec.MsgspecError, RecursionError):  # a number that no machine has, or too deep
        whole(body)


def _value(column: KeyColumn, raw: msgspec.Raw) -> Any:
    """A value of the key as its column has it; InputError for one that the column cannot hold."""
    try:
        value = msgspec.json.decode(raw)
        if isinstance(value, list | dict):
            raise Misfit(value)
        return fitted(value, column.type)
    except (Misfit, msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise InputError(
            f"`{column.name}`, by which rows are looked up, must be {KEYS[column.type]}.",
            hint=f"{_shown(raw)} was given.",
        ) from error


def _shown(raw: msgspec.Raw) -> str:
    text = bytes(raw).decode("utf-8", "replace").strip()
    return text if len(text) <= 100 else f"{text[:100]}..."


def noticed(inside: bytes, told: str) -> bytes:
    """The inside of an answer's JSON object with one notice more."""
    found = _GIVEN.decode(b"{%b}" % inside)
    notices = msgspec.json.decode(found["notices"]) if "notices" in found else []
    return encode({**found, "notices": [*notices, told]})[1:-1]

"""What reaches the bucket of an Iceberg table: what is declared, else what a catalog lends, else what the environment of this program says."""

from __future__ import annotations

import os
from collections.abc import Mapping

from tilth.adapters.sources.lakes import credentials
from tilth.adapters.sources.remote import given as asked

KEY = "s3.access-key-id"
_LENT = (
    KEY, "s3.secret-access-key", "s3.session-token", "s3.region", "client.region", "s3.endpoint", "s3.anonymous",
    "s3.force-virtual-addressing",
)  # fmt: skip


def declared(given: Mapping[str, object], token: str | None) -> dict[str, str]:
    """The source's own options, by the names that pyiceberg has for them; `token` names the one of a key for a time."""
    key, secret = credentials(given, "iceberg")
    return _said({
        KEY: key,
        "s3.secret-access-key": secret,
        "s3.session-token": asked.text(given, token) if token is not None else None,
        "s3.region": asked.text(given, "region"),
        "s3.endpoint": asked.text(given, "endpoint"),
        "s3.anonymous": "true" if given.get("anonymous") is True else None,
    })  # fmt: skip


def ambient(given: Mapping[str, object]) -> dict[str, str]:
    """What the environment says, where no key is declared."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if given.get("key") is not None:
        return _said({"s3.region": region})
    return _said({
        KEY: os.environ.get("AWS_ACCESS_KEY_ID"),
        "s3.secret-access-key": os.environ.get("AWS_SECRET_ACCESS_KEY"),
        "s3.session-token": os.environ.get("AWS_SESSION_TOKEN"),
        "s3.region": region,
    })  # fmt: skip


def lent(config: Mapping[str, object]) -> dict[str, str]:
    """Of what a catalog says to a table, that which reaches a bucket: nothing that names code to be run."""
    return {k: str(v) for k, v in config.items() if k in _LENT and isinstance(v, str | bool | int)}


def _said(found: Mapping[str, str | None]) -> dict[str, str]:
    return {k: v for k, v in found.items() if v}

"""Files in S3-compatible storage as tables: the same files, options and types as `ENGINE files`, each copied whole before it is read.

`path` is a folder of the bucket, a glob, or one object. What one list shows is the table; each object is read under the tag that the list gave.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from tilth.adapters.sources.files import options
from tilth.adapters.sources.remote import given as asked
from tilth.adapters.sources.remote.source import RemoteSource
from tilth.adapters.sources.s3.bucket import Access, Bucket
from tilth.core.errors import ProjectError

OPTIONS = (
    "bucket", "path", "url", "region", "endpoint", "key", "secret", "token", "anonymous", "max_size", "timeout",
    "format", "tables",
)  # fmt: skip
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}\Z")


class S3Source:
    """Makes the source of one bucket's folder; what it then does is `remote.source`."""

    local = False
    speaks = False
    copies = True

    @classmethod
    def from_options(cls, given: Mapping[str, object], root: str) -> RemoteSource:
        asked.check(given, OPTIONS, "s3")
        name, path = _where(given)
        anonymous = given.get("anonymous", False)
        if not isinstance(anonymous, bool):
            raise ProjectError("`anonymous` is true or false.", hint="Write anonymous = true.")
        key, secret = asked.text(given, "key"), asked.text(given, "secret")
        if (key is None) != (secret is None) or (anonymous and key is not None):
            raise ProjectError(
                "An s3 source needs `key` and `secret` together, or neither.",
                hint="Write key = SECRET 'env:AWS_ACCESS_KEY_ID', secret = SECRET 'env:AWS_SECRET_ACCESS_KEY'; or anonymous = true"
                " for a public bucket; with none of them the environment and the machine's role are asked, as AWS's own tools do.",
            )
        access = Access(
            name, asked.text(given, "region"), _endpoint(given), key, secret, asked.text(given, "token"), anonymous,
            asked.seconds(given, "timeout", "30 s"),
        )  # fmt: skip
        address = f"s3:{access.endpoint or ''}:{name}:{path}:{key or ''}"
        return RemoteSource(Bucket(access, path), address, options.parse(given), asked.size(given), root)


def _where(given: Mapping[str, object]) -> tuple[str, str]:
    """The bucket, and the path in it."""
    url, bucket = asked.text(given, "url"), asked.text(given, "bucket")
    if (url is None) == (bucket is None):
        raise ProjectError(
            "An s3 source needs a bucket, or a url.",
            hint="Write WITH (bucket = 'lake', path = 'flights'), or WITH (url = 's3://lake/flights').",
        )
    path = asked.text(given, "path", "") or ""
    if url is not None:
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment or path:
            raise ProjectError(
                f"{url[:80]!r} is no address of a bucket.",
                hint="Write url = 's3://bucket/folder', and no path beside it.",
            )
        bucket, path = parts.netloc, parts.path
    assert bucket is not None
    if not _BUCKET.match(bucket):
        raise ProjectError(f"{bucket[:80]!r} cannot be the name of a bucket.", hint="Correct `bucket`.")
    path = path.strip("/")
    if any(part in ("", ".", "..") for part in path.split("/") if path):
        raise ProjectError(f"{path[:80]!r} is no path in a bucket.", hint="Write path = 'folder/of/files'.")
    return bucket, path


def _endpoint(given: Mapping[str, object]) -> str | None:
    endpoint = asked.text(given, "endpoint")
    if endpoint is None:
        return None
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise ProjectError(
            f"{endpoint[:80]!r} is no endpoint.", hint="Write endpoint = 'https://minio.internal:9000'."
        )
    return endpoint.rstrip("/")

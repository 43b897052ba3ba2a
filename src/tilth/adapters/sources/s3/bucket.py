"""A folder of a bucket as a place of files, by obstore: lists, and objects read by the tag that a list gave them."""

from __future__ import annotations

import fnmatch
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

from tilth.adapters.sources.files.found import Entry, Found, grouped, kind_of
from tilth.adapters.sources.remote.copies import too_large
from tilth.adapters.sources.remote.place import BrokenError, ChangedError, Item, ending
from tilth.core.errors import MissingExtraError, SourceError, UnknownNameError

CHUNK = 4 << 20
_GLOB = frozenset("*?[")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Access:
    """How a bucket is reached; what is None is AWS's own way to find it."""

    bucket: str
    region: str | None = None
    endpoint: str | None = None
    key: str | None = None
    secret: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    anonymous: bool = False
    timeout: float = 30.0


class Bucket:
    """Implements `remote.place.Place`. `path` has no slash at its ends; it may be a glob."""

    what = "files of the bucket"

    def __init__(self, access: Access, path: str) -> None:
        self._access, self._path = access, path
        self._store_: Any = None
        self._stopped = threading.Event()

    def found(self) -> Found:
        return self._listed(None)[0]

    def items(self, table: str) -> tuple[Item, ...]:
        self._stopped.clear()
        found, items = self._listed(table)
        try:
            paths = found.of(table)
        except UnknownNameError:
            found, items = self._listed(None)
            paths = found.of(table)
        return tuple(items[p] for p in paths)

    def fetch(self, item: Item, path: str, most: int) -> Item:
        told = self._told(lambda: self._store.get(item.path, options=_as_listed(item)), item)
        meta = told.meta
        if meta["size"] != item.size or ((meta.get("e_tag") or item.tag) != item.tag and meta.get("e_tag")):
            raise ChangedError(f"{item.shown} changed")
        self._told(lambda: self._written(told, item, path, most), item)
        return replace(item, ending=ending(item.path, told.attributes.get("Content-Encoding"), item.shown))

    def stop(self) -> None:
        self._stopped.set()

    # --- within --------------------------------------------------------------------------------------------

    @property
    def _store(self) -> Any:
        if self._store_ is None:
            self._store_ = _opened(self._access)
        return self._store_

    def _written(self, told: Any, item: Item, path: str, most: int) -> None:
        size = 0
        with open(path, "wb") as out:
            for piece in told.stream(min_chunk_size=CHUNK):
                size += len(piece)
                if size > most:
                    raise too_large(size, most)
                if self._stopped.is_set():
                    raise SourceError(f"{item.shown} was no longer wanted.", hint="Ask again.")
                out.write(piece)
        if size != item.size:
            raise BrokenError(f"{item.shown} ended after {size} of {item.size} bytes")

    def _listed(self, only: str | None) -> tuple[Found, dict[str, Item]]:
        """What the folder holds now; of folders in it only that one is looked into, if one is named."""
        items: dict[str, Item] = {}
        if _GLOB & set(self._path):
            entries = [Entry(i.path, os.path.basename(i.path)) for i in self._matching()]
            items = {i.path: i for i in self._matched}
        else:
            entries = list(self._folder(only, items))
        if not entries:
            raise SourceError(
                f"There is nothing at s3://{self._access.bucket}/{self._path}.",
                hint="Correct the source's bucket or path; or its key may not list it.",
            )
        return grouped(entries), items

    def _matching(self) -> list[Item]:
        parts = self._path.split("/")
        fixed = parts[: next(i for i, p in enumerate(parts) if _GLOB & set(p))]
        found = self._told(lambda: [m for batch in self._store.list("/".join(fixed)) for m in batch])
        self._matched = [
            self._item(m)
            for m in sorted(found, key=lambda m: str(m["path"]))
            if len(names := m["path"].split("/")) == len(parts)
            and all(fnmatch.fnmatchcase(n, p) for n, p in zip(names, parts, strict=True))
        ]
        return self._matched

    def _folder(self, only: str | None, items: dict[str, Item]) -> Iterator[Entry]:
        top = self._told(lambda: self._store.list_with_delimiter(self._path or None))
        folders = {p.rstrip("/") for p in top["common_prefixes"]}
        for meta in sorted(top["objects"], key=lambda m: str(m["path"])):
            if meta["path"] not in folders and meta["path"] != self._path:  # marks that a folder is there
                items[meta["path"]] = self._item(meta)
                yield Entry(meta["path"], os.path.basename(meta["path"]))
        for folder in sorted(folders):
            name = os.path.basename(folder)
            if only is not None and name != only:
                yield Entry(folder, name, ())
                continue
            inner = self._told(lambda f=folder: self._store.list_with_delimiter(f))  # type: ignore[misc]
            members = {os.path.basename(m["path"]): self._item(m) for m in inner["objects"]}
            items.update({os.path.join(folder, n): item for n, item in members.items()})
            yield Entry(folder, name, tuple(sorted(members)), bool(inner["common_prefixes"]))
        if not top["objects"] and not folders and self._path and kind_of(self._path):
            with_one = self._one()
            if with_one is not None:
                items[with_one.path] = with_one
                yield Entry(with_one.path, os.path.basename(with_one.path))

    def _one(self) -> Item | None:
        """The object that the path itself names."""
        try:
            return self._item(self._told(lambda: self._store.head(self._path), Item("", self._path, 0, None)))
        except ChangedError:
            return None

    def _item(self, meta: Mapping[str, Any]) -> Item:
        path = str(meta["path"])
        shown = path.removeprefix(f"{self._path}/") if path != self._path else os.path.basename(path)
        tag = meta.get("e_tag") or meta["last_modified"].isoformat()
        return Item(path, shown, int(meta["size"]), str(tag))

    def _told(self, ask: Callable[[], T], item: Item | None = None) -> T:
        """What the store answers; its errors in our words. Of one object, ChangedError when it is not as it was listed."""
        from obstore import exceptions as of

        try:
            return ask()
        except (ChangedError, BrokenError, SourceError):
            raise
        except (FileNotFoundError, of.PreconditionError, of.NotModifiedError) as error:
            if item is not None:
                gone = isinstance(error, FileNotFoundError)
                raise ChangedError(f"{item.shown} {'is gone' if gone else 'changed'}") from error
            raise self._refused(error) from error
        except Exception as error:
            text = str(error).lower()
            if isinstance(error, OSError) and error.errno is not None:
                raise  # this machine's disk
            if item is not None and any(w in text for w in ("decoding response body", "error decoding", "incomplete", "connection closed", "unexpected eof", "partial response")):  # fmt: skip
                raise BrokenError(f"{item.shown} broke off") from error
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> SourceError:
        text, where = str(error).partition("Debug source:")[0], f"s3://{self._access.bucket}/{self._path}"
        low, kind = text.lower(), type(error).__name__
        code = next(iter(re.findall(r"status code: (\d+)", text)), "")
        if kind == "InvalidPathError":
            name = next(iter(re.findall(r'"([^"]+)"', text)), "")[:200]
            return SourceError(
                f"{where} holds an object whose name has an empty or dotted part ({name!r}): no folder has such a file.",
                hint="Rename or remove it, or point the source's path at a folder beside it.",
            )
        if "nosuchbucket" in low:
            return SourceError(f"There is no bucket `{self._access.bucket}`.", hint="Correct `bucket`, `region` or `endpoint`.")  # fmt: skip
        if (
            kind in ("PermissionDeniedError", "UnauthenticatedError")
            or code == "403"
            or "accessdenied" in low
        ):
            return SourceError(
                f"The store does not let this key read {where}.",
                hint="Check `key` and `secret`, and that the key may list the bucket and get its objects.",
            )
        if "credential" in low or "169.254" in low or "imds" in low:
            return SourceError(
                f"There is no key to read {where} with: none is given, none is in the environment, and the machine has no role.",
                hint="Write key = SECRET 'env:AWS_ACCESS_KEY_ID', secret = SECRET 'env:AWS_SECRET_ACCESS_KEY'; or anonymous = true.",
            )
        if "region" in low and ("301" in low or "redirect" in low):
            return SourceError(f"{where} lies in another region.", hint="Write region = '...' of the bucket.")
        silent = any(w in low for w in ("timed out", "timeout", "connect", "dns", "sending request"))
        told = f"answers {code}" if code else "does not answer" if silent else "failed"
        return SourceError(
            f"The store of {where} {told} ({kind}).",
            hint="Check `endpoint` and `region`, and that the store can be reached from here; then try again.",
        )


def _as_listed(item: Item) -> dict[str, object]:
    """What asks for the object only as it was listed."""
    return {"if_match": item.tag} if item.tag and item.tag.startswith('"') else {}


class _Given:
    """The key that the source says, alone: a session's token of the environment belongs to another."""

    def __init__(self, access: Access) -> None:
        self._said = {"access_key_id": access.key, "secret_access_key": access.secret, "expires_at": None}
        if access.token:
            self._said["token"] = access.token

    def __call__(self) -> dict[str, str | None]:
        return self._said


def _opened(access: Access) -> Any:
    try:
        from obstore.store import S3Store
    except ImportError as error:
        raise MissingExtraError(
            "Sources of the engine s3 need the package obstore, which is not installed.",
            hint="pip install 'tilth[s3]'",
        ) from error
    known: dict[str, Any] = {
        "region": access.region,
        "endpoint": access.endpoint,
        "credential_provider": _Given(access) if access.key else None,
        "skip_signature": True if access.anonymous else None,
    }
    plain = access.endpoint is not None and access.endpoint.startswith("http://")
    span = timedelta(seconds=access.timeout)
    return S3Store(
        access.bucket,
        **{k: v for k, v in known.items() if v is not None},
        client_options={
            "allow_http": plain, "connect_timeout": span, "read_timeout": span, "timeout": timedelta(days=1),
        },
        retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=max(10.0, 2 * access.timeout))},
    )  # fmt: skip

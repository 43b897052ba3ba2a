"""`tilth import FILE.odcs.yaml`: a contract into the project's files, and `tilth export d --format odcs`: one out of them.

A dataset that no file declares is added; to one that is, the checks are added that it has not. Nothing is written unless all
of it fits together.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.adapters.files import durable
from tilth.app.adopting import place
from tilth.app.contracts.reading import MOST, read
from tilth.app.contracts.writing import written
from tilth.app.suggesting import added
from tilth.core.errors import DataError, InputError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.kinds import parse_one
from tilth.sql.language.printer import show_check
from tilth.sql.language.statements import CreateDataset, Kind

if TYPE_CHECKING:
    from tilth.app.project import Project

FILE = "contracts.sql"


@dataclass(frozen=True, slots=True)
class Brought:
    """Datasets that are declared now, checks that were added to others (as dataset: check), rules in words, and the files."""

    datasets: tuple[str, ...]
    checks: tuple[str, ...]
    in_words: tuple[str, ...]
    files: tuple[str, ...]


def bring(project: Project, path: str, source: str | None = None, file: str = FILE) -> Brought:
    """Declare what the contract says."""
    found = read(_text(path), source)
    graph = project.graph()
    fresh: list[str] = []
    checks: list[str] = []
    names: list[str] = []
    texts: dict[str, str] = {}
    for text in found.datasets.values():
        made = parse_one(text)
        assert isinstance(made, CreateDataset)
        known = graph.find(made.name)
        if known is None:
            fresh.append(text)
            names.append(made.name)
            continue
        if known.kind is not Kind.DATASET:
            raise InputError(
                f"`{made.name}` is a {known.kind.value} of the project.",
                hint="Name the contract's object otherwise.",
            )
        checks += [f"{made.name}: {c}" for c in _more(project, known.as_(CreateDataset), made, texts)]
    if fresh:
        target = place(project, file)
        before = texts[target] if target in texts else _there(os.path.join(project.root, target))
        texts[target] = "\n\n".join([*([before.rstrip()] if before.strip() else []), *fresh]) + "\n"
    _put(project, texts)
    return Brought(tuple(names), tuple(checks), found.in_words, tuple(texts))


def _there(path: str) -> str:
    """The text of a file; nothing where there is none."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def _text(path: str) -> str:
    try:
        if os.path.getsize(path) > MOST:
            raise InputError(
                f"{path} is larger than {MOST:,} bytes.", hint="A contract is a small file of YAML."
            )
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}.", hint="Name a file such as flights.odcs.yaml."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is no text in UTF-8.", hint="Name a file such as flights.odcs.yaml."
        ) from error


def _more(project: Project, declared: CreateDataset, made: CreateDataset, texts: dict[str, str]) -> list[str]:
    """The checks that the declaration has not; its file's text with them goes into `texts`."""
    there = {show_check(e) for e in declared.expect}
    more = [e for e in made.expect if show_check(e) not in there]
    where = declared.position
    if not more or where is None or where.file is None:
        return []
    if where.file not in texts:
        texts[where.file] = _there(os.path.join(project.root, where.file))
    items = [f"{show_check(e)} ON FAIL {e.on_fail.name}" for e in more]
    texts[where.file] = added(texts[where.file], where.line, items)
    return [show_check(e) for e in more]


def _put(project: Project, texts: dict[str, str]) -> None:
    """Write the files, and take that back where the project does not fit together then."""
    before: dict[str, str | None] = {}
    try:
        for name, text in texts.items():
            path = os.path.join(project.root, name)
            before[path] = _there(path) if os.path.exists(path) else None
            os.makedirs(os.path.dirname(path), exist_ok=True)
            durable.write_whole(path, text.encode(), 0o644)
        project.graph()
    except (TilthError, OSError) as error:
        for path, content in before.items():
            if content is not None:
                durable.write_whole(path, content.encode(), 0o644)
            elif os.path.exists(path):
                os.unlink(path)
        if isinstance(error, OSError):
            raise durable.refused("The project's files cannot be written", project.root, error) from error
        raise


def contract_of(project: Project, name: str, environment: str | None = None) -> str:
    """A deployed dataset as a contract; its columns are those of its snapshot."""
    from tilth.runtime.record.snapshots import current

    where = environment or project.settings.environment
    graph = project.deployed(where)
    resource = graph.find(name.lower())
    if resource is None or resource.kind is not Kind.DATASET:
        known = [r.name for r in graph.of_kind(Kind.DATASET)]
        raise UnknownNameError(
            f"There is no dataset `{name}` in {where}.", hint=did_you_mean(name, known, "datasets")
        )
    kept = current(project.looked().state, where).get(resource.name)
    if kept is None:
        raise DataError(f"Dataset `{name}` has no snapshot.", hint=f'Run: tilth sql "REFRESH DATASET {name}"')
    return written(resource.as_(CreateDataset), kept.manifest.schema)

"""A project's own estimators: what they are, as a hash for recipes, and whether a named one is there.

Any file of `estimators/` can change what a function there returns, by whatever way it is imported or read; so the hash is
that of the whole folder, and a changed file makes a new recipe of every model that uses an own estimator. The files are
read, never imported.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import importlib.util
import os
import stat
from collections.abc import Iterable, Iterator, Mapping

from tilth.core.canonical import canonical, digest
from tilth.core.errors import Position, ProjectError, StorageError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.resources.graph import Graph
from tilth.sql.language.statements import CreateModel

FOLDER = "estimators"
COMPILED = "__pycache__"  # made by running the code, and not read by workers
MOST_FILES = 2_000
MOST_BYTES = 64 << 20
SUFFIXES = ("py", "so", "pyc")


def hashes(folder: str) -> dict[str, str]:
    """The hash of the folder under the name of each of its modules, `a` or `a.b`; empty without any."""
    files = _files(folder) if os.path.isdir(folder) else {}
    modules = _modules(files)
    if not modules:
        return {}
    return dict.fromkeys(sorted(modules), _content(files))


def listed(folder: str) -> dict[str, tuple[str, str]]:
    """Every file of the folder by its path in it: where it lies, and its sha256; empty without a folder."""
    files = _files(folder) if os.path.isdir(folder) else {}
    _content(files)  # refuses what is too much
    there = {name: os.path.realpath(path) for name, path in files.items() if os.path.exists(path)}
    return {name: (path, _hash(path)) for name, path in there.items()}


def require(graph: Graph, folder: str, models: Iterable[str] | None = None) -> None:
    """Return when the estimators of the models (all: None) are there; UnknownNameError with the nearest name."""
    for resource in graph.resources:
        if isinstance(resource.declaration, CreateModel) and (models is None or resource.name in models):
            named = resource.declaration.using.get("estimator")
            if named is not None:
                _require(str(named), folder, resource.declaration.position)


def _require(named: str, folder: str, where: Position | None) -> None:
    module, _, function = named.partition(":")
    files = _files(folder) if os.path.isdir(folder) else {}
    own = _modules(files)
    found = own.get(module)
    if found is None:
        if module.split(".")[0] not in {m.split(".")[0] for m in own} and _installed(module):
            return  # what an installed module holds is known when it is imported, in the worker
        raise UnknownNameError(
            f"There is no module `{module}` for the estimator `{named}`.",
            hint=f"{did_you_mean(module, own, 'modules in estimators/')} "
            f"Write {FOLDER}/{module.replace('.', '/')}.py with a function {function}(), or install the package.",
            where=where,
        )
    names = _names(files[found], found)
    if names is not None and function not in names:
        raise UnknownNameError(
            f"{FOLDER}/{found} has no `{function}`, which the estimator `{named}` names.",
            hint=did_you_mean(function, sorted(n for n in names if not n.startswith("_")), "names"),
            where=where,
        )


# --- the folder --------------------------------------------------------------------------------------------


def _files(folder: str) -> dict[str, str]:
    """Every file below the folder: its path in it, with `/`, and where it lies. Links to folders are followed once."""
    out: dict[str, str] = {}
    seen: set[str] = set()
    for at, inner, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(at)
        if real in seen:
            inner[:] = []
            continue
        seen.add(real)
        inner[:] = sorted(n for n in inner if n != COMPILED)
        for name in names:
            path = os.path.join(at, name)
            out[os.path.relpath(path, folder).replace(os.sep, "/")] = path
        if len(out) > MOST_FILES:
            raise ProjectError(
                f"{FOLDER}/ holds more than {MOST_FILES:,} files.",
                hint="Keep only the code of estimators there; data and environments lie elsewhere.",
            )
    return out


def _modules(files: Iterable[str]) -> dict[str, str]:
    """Names under which Python finds the files, and the file of each."""
    out: dict[str, str] = {}
    for path in sorted(files):
        head, slash, last = path.rpartition("/")
        stem, _, suffix = last.partition(".")
        name = (head + slash + stem).removesuffix("/__init__").replace("/", ".")
        if suffix.endswith(SUFFIXES) and all(part.isidentifier() for part in name.split(".")):
            out.setdefault(name, path)
    return out


def _content(files: Mapping[str, str]) -> str:
    """One hash over names and contents."""
    sizes = (_size(path) for path in files.values())
    if sum(sizes) > MOST_BYTES:
        raise ProjectError(
            f"{FOLDER}/ holds more than {MOST_BYTES >> 20} MB.",
            hint="Keep only the code of estimators there; data lies elsewhere.",
        )
    return digest(canonical([[name, _hash(path)] for name, path in sorted(files.items())]))


def _size(path: str) -> int:
    """The bytes of a file; a link that leads nowhere has none."""
    try:
        found = os.stat(path)
    except OSError:
        return 0
    if not stat.S_ISREG(found.st_mode):
        raise ProjectError(
            f"{path} is no regular file.", hint=f"Keep only the code of estimators in {FOLDER}/."
        )
    return found.st_size


def _hash(path: str) -> str:
    if not os.path.exists(path):
        return "nothing"
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read ({error.strerror}).", hint="Give this user read access to it."
        ) from error


def _installed(module: str) -> bool:
    """Whether Python would find the module; only the package that it lies in is looked up, nothing is imported."""
    first, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):
        return False
    if spec is None:
        return False
    for part in rest:
        places = list(spec.submodule_search_locations or ()) if spec is not None else []
        spec = importlib.machinery.PathFinder.find_spec(part, places) if places else None
        if spec is None:
            return False
    return True


# --- one module --------------------------------------------------------------------------------------------


def _names(path: str, shown: str) -> frozenset[str] | None:
    """What the module binds when it is imported; None when its text cannot say."""
    if not path.endswith(".py"):
        return None
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path} cannot be read as UTF-8 text.", hint="Save it as UTF-8.") from error
    body = _tree(shown, text).body
    out: set[str] = set()
    for node in _statements(body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            out.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            out |= {(a.asname or a.name).split(".")[0] for a in node.names}
        else:
            out |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return None if out & {"*", "__getattr__"} or _writes_names(body) else frozenset(out)


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Those that run when the module is imported, also inside if, try, with and loops."""
    for node in body:
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for part in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(node, part, ()))
        for handler in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            yield from _statements(handler.body)


def _writes_names(body: Iterable[ast.stmt]) -> bool:
    """Whether the module makes names by other means than binding them."""
    calls = {"globals", "vars", "exec", "setattr"}
    return any(isinstance(n, ast.Name) and n.id in calls for s in body for n in ast.walk(s))


def _tree(shown: str, text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        said = error if isinstance(error, SyntaxError) else SyntaxError(str(error) or "too deep")
        where = Position(
            said.lineno or 1, said.offset or 1, 1, f"{FOLDER}/{shown}", (said.text or "").rstrip()
        )
        raise ProjectError(
            f"{FOLDER}/{shown} is not Python: {said.msg}.", hint="Correct the line.", where=where
        ) from error

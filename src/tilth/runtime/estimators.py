"""Hashes of a project's own estimators, so that a changed one makes a new recipe. The files are read, never imported.

The hash of `module:function` covers the whole module and every other module of the folder that it imports, since what
the function returns may come from any of them.
"""

from __future__ import annotations

import ast
import os

from tilth.core.canonical import canonical, digest
from tilth.core.errors import Position, ProjectError, StorageError


def hashes(folder: str) -> dict[str, str]:
    """`module:function` to a hash, for every function and class of every `*.py` in the folder; empty without one."""
    if not os.path.isdir(folder):
        return {}
    texts = {
        n.removesuffix(".py"): _text(os.path.join(folder, n))
        for n in sorted(os.listdir(folder))
        if n.endswith(".py")
    }
    trees = {name: _tree(name, text) for name, text in texts.items()}
    out: dict[str, str] = {}
    for name, tree in trees.items():
        used = _closure(name, trees)
        mark = digest(canonical([[n, texts[n]] for n in sorted(used)]))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                out[f"{name}:{node.name}"] = mark
    return out


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path} cannot be read as UTF-8 text.", hint="Save it as UTF-8.") from error


def _tree(name: str, text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError as error:
        where = Position(
            error.lineno or 1, error.offset or 1, 1, f"estimators/{name}.py", (error.text or "").rstrip()
        )
        raise ProjectError(
            f"estimators/{name}.py is not Python: {error.msg}.", hint="Correct the line.", where=where
        ) from error


def _closure(name: str, trees: dict[str, ast.Module]) -> set[str]:
    """The module and those of the folder that it imports, directly or through one another."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module in seen or module not in trees:
            continue
        seen.add(module)
        for node in ast.walk(trees[module]):
            if isinstance(node, ast.Import):
                waiting += [a.name.split(".")[0] for a in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting.append(node.module.split(".")[0])
    return seen

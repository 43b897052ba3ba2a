"""Hashes of a project's own estimators as recipe 1 of a model made them: to know again what an older version trained.

The hash of `module:function` covers the module and every other module of the folder that it imports by name. What recipe 2
covers, and why this was too little, is in `estimators`. Nothing here is ever changed.
"""

from __future__ import annotations

import ast
import os

from tilth.core.canonical import canonical, digest


def hashes_1(folder: str) -> dict[str, str]:
    """`module:function` to a hash, for every function and class of every `*.py` in the folder that can be read."""
    texts = {}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        if name.endswith(".py") and os.path.isfile(path):
            text = _text(path)
            if text is not None:
                texts[name.removesuffix(".py")] = text
    trees = {name: ast.parse(text) for name, text in texts.items()}
    out: dict[str, str] = {}
    for name, tree in trees.items():
        used = _closure(name, trees)
        mark = digest(canonical([[n, texts[n]] for n in sorted(used)]))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                out[f"{name}:{node.name}"] = mark
    return out


def _text(path: str) -> str | None:
    """The text; None where recipe 1 could not have read it either."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        ast.parse(text)
    except (OSError, ValueError, SyntaxError):
        return None
    return text


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

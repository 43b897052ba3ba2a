"""Writes docs/reference.md from the code (commands, settings, errors, tables of the schema tilth, extension points),
docs/http.md and docs/types.md.

`make docs` runs it; a test compares what it would write with what is checked in.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import click
import http_page
from types_page import page

HERE = Path(__file__).parent


def reference() -> str:
    """The whole page."""
    parts = [
        "# Reference\n\nMade from the code by `make docs`. The statements have [a page of their own](language.md).\n",
        _commands(),
        _settings(),
        _metrics(),
        _errors(),
        _paths(),
        _rights(),
        _tables(),
        _extensions(),
    ]
    return "\n".join(parts)


def _commands() -> str:
    from tilth.interfaces.cli.commands import tilth

    out = ["## Commands\n"]
    width = {"terminal_width": 100, "max_content_width": 100}
    context = click.Context(tilth, info_name="tilth", **width, **tilth.context_settings)
    for name in tilth.list_commands(context):
        command = tilth.get_command(context, name)
        assert command is not None
        if command.hidden:
            continue
        inner = click.Context(command, parent=context, info_name=name, **width)
        text = re.sub(r"[ \t]+$", "", command.get_help(inner), flags=re.MULTILINE)
        out.append(f"### tilth {name}\n\n```text\n{text}\n```\n")
    return "\n".join(out)


def _settings() -> str:
    from tilth.runtime.project.settings import KEYS, OF_ENVIRONMENTS

    rows = []
    for key in (*KEYS, *OF_ENVIRONMENTS):
        default = "" if key.default is None else f'; default `"{key.default}"`'
        rows.append(f"| `{key.name}` | {key.meaning}{default} |")
    return "\n".join(
        ["## Settings (`tilth.toml`, optional)\n", "A key with a point stands in a table: `keep.looks` is `looks` below `[keep]`.\n",
         "| setting | meaning |", "|---|---|", *rows, ""]
    )  # fmt: skip


def _metrics() -> str:
    from tilth.core.metrics import METRICS

    rows = [
        f"| `{m.name}` | {', '.join(m.kinds)} | {'more' if m.higher else 'less'} | {'decisions' if m.decides else ''} | "
        f"{', '.join(f'`{also}`' for also in m.also)} |"
        for m in METRICS
    ]
    rows.append("| `pinball_0.01` to `pinball_0.99` | regression | less |  |  |")
    return "\n".join(
        ["## Metrics\n",
         ("What `OBJECTIVE (metric = ...)` takes: the scorers of scikit-learn that fit the kind of task, and shorter names. An error is "
          "itself, also by its name `neg_...`: less of it is better, and `minimum` is the greatest that may be. The first of a kind counts "
          "where nothing is said. Values are scikit-learn's; for several classes `f1` is the plain mean over them, and areas and "
          "`average_precision` are means of one class against the rest (`ovo`: of pairs). Where a rate of 0 or below is said, "
          "`mean_poisson_deviance` and `mean_gamma_deviance` take the least number above 0, logarithmic errors 0. `top_k_accuracy` "
          "looks at two classes, `mean_pinball_loss` at the median. "
          "`pinball_0.9` is scikit-learn's `mean_pinball_loss` with `alpha = 0.9`: such a model learns the quantile below which nine of ten "
          "values lie.\n"),
         "| metric | task | better is | looks at | also called |", "|---|---|---|---|---|", *rows, ""]
    )  # fmt: skip


def _errors() -> str:
    from tilth.core import errors

    rows = []
    for cls in _family(errors.TilthError):
        words = (cls.__doc__ or "").strip().splitlines()
        tree = re.search(rf"{cls.__name__}\s+(.*?)\s+{cls.code}\b", errors.__doc__ or "")
        said = tree[1] if tree else (words[0] if words else "")
        retry = "yes" if cls.retry else ""
        rows.append(
            f"| `{cls.code}` | {said} | {cls.exit_status} | {cls.http_status} | {cls.sqlstate} | {retry} |"
        )
    head = [
        "## Errors\n",
        "| code | what | exit | HTTP | SQLSTATE | trying again can help |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows, ""])


def _family(cls: type) -> list[type]:
    """The classes of the error module below this one, whatever else was imported."""
    found = [] if cls.__name__ == "TilthError" else [cls]
    for child in (c for c in cls.__subclasses__() if c.__module__ == cls.__module__):
        found += _family(child)
    return found


def _tables() -> str:
    import tilth
    from tilth.runtime.asking.catalog import SystemTables

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tilth.toml").touch()
        project = tilth.open(folder)
        tables = SystemTables(project.work())
        rows = [
            f"| `tilth.{name}` | {', '.join(f'{f.name} {f.type.value}' for f in tables.describe(name))} |"
            for name in tables.tables()
        ]
        project.close()
    return "\n".join(["## Tables of the schema `tilth`\n", "| table | columns |", "|---|---|", *rows, ""])


def _paths() -> str:
    from tilth.interfaces.http.paths import PAGES, PATHS

    rows = [
        f"| `{known.method} {path}` | {known.asked or 'none'} | {known.gives} |"
        for path, known in {**PATHS, **PAGES}.items()
    ]
    text = "What `tilth up` answers. Who holds the token in `.tilth/token` has every right, any other (CREATE TOKEN) those of its role; what asks for none needs no token."
    return "\n".join(["## HTTP\n", text, "", "| path | right | gives |", "|---|---|---|", *rows, ""])


def _rights() -> str:
    from tilth.plan.rights import RIGHTS, STATEMENTS, Right

    asked = {
        right: [k.__name__.removesuffix("Statement") for k, r in STATEMENTS.items() if r is right]
        for right in Right
    }
    asked[Right.DECLARE].insert(0, "CREATE ...")
    rows = [
        f"| `{right}` | {', '.join(asked[right])} | {', '.join(role for role, has in RIGHTS.items() if right in has)} |"
        for right in Right
    ]
    return "\n".join(["## Rights\n", "| right | statements | roles |", "|---|---|---|", *rows, ""])


def _extensions() -> str:
    from tilth.ports import registry

    rows = [
        f"| `{group}` | {what} | {', '.join(registry.names(group))} |"
        for group, what in registry.GROUPS.items()
    ]
    text = (
        "A package offers one by an entry point in the group; the class implements the port in `tilth.ports` "
        "(`source`, `learning`, `jobs`, `blobs`, `state`). `tilth init acme --template plugin` makes a package with a source engine "
        "that works, to begin with; `tilth.ports.suite.SourceSuite` is what every source must pass."
    )
    return "\n".join(
        ["## Extension points\n", text, "", "| group | what | built in |", "|---|---|---|", *rows, ""]
    )


if __name__ == "__main__":
    for name, write in {"reference.md": reference, "http.md": http_page.page, "types.md": page}.items():
        path, made = HERE / name, write()
        if "--check" in sys.argv and (not path.exists() or path.read_text("utf-8") != made):
            sys.exit(f"docs/{name} is not what `make docs` writes: run it, and commit the page.")
        path.write_text(made, "utf-8")

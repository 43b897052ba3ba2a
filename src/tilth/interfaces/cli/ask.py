"""`tilth sql` and `tilth predict`: statements from the command line, a pipe or a prompt, and one prediction by hand."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from tilth.core.errors import (
    GateRefusedError,
    InputError,
    LanguageError,
    ServedDropError,
    UnknownNameError,
)
from tilth.core.figures import figure, sql_text
from tilth.core.schema import DataType
from tilth.core.time import parse_duration
from tilth.interfaces.cli import completing, files, foretelling, parameters, planning, said, show
from tilth.interfaces.cli.options import CLOCK, ENV, JSON, MOST, PROJECT, opened, there, version_number
from tilth.runtime.showing.next_steps import after
from tilth.runtime.showing.unlike import unlike
from tilth.sql.language.acts import Describe

if TYPE_CHECKING:
    from tilth.interfaces.cli.parameters import Value
    from tilth.interfaces.cli.said import Said
    from tilth.interfaces.cli.shell import Shell
    from tilth.runtime.asking.model import Model
    from tilth.runtime.asking.prompt import Result
    from tilth.runtime.asking.session import Session
    from tilth.sql.language.acts import Statement


class Span(click.ParamType[float]):
    """A time to wait: a number of seconds, or a duration as tilth.toml writes it ('5 minutes')."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(value)
        except ValueError:
            try:
                seconds = parse_duration(value).total_seconds()
            except (LanguageError, OverflowError):
                self.fail(f"{value!r} is no time: write 30, or '5 minutes'.", param, ctx)
        if not 0.1 <= seconds <= 1e6:
            self.fail(f"{value!r} is not in the range of 0.1 to 1,000,000 seconds.", param, ctx)
        return seconds


class Spoken(click.Command):
    """A command that takes a statement; one that begins with a comment (`-- ...`) is no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [f" {a}" if _COMMENT.match(a) else a for a in args])


_COMMENT = re.compile(r"--[^=\s]*\s")


@click.command(cls=Spoken)
@click.argument("statement", required=False)
@PROJECT
@ENV
@JSON
@click.option("--csv", "as_csv", is_flag=True, help="Print rows as CSV.")
@click.option("--vertical", is_flag=True, help="Print a line a column, with nothing cut.")
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    help="Write all rows to FILE, in the format of its suffix: csv, json, jsonl, parquet, md.",
)
@click.option("--force", is_flag=True, help="With --output: replace a file that is there.")
@click.option("--file", "-f", "file", metavar="FILE", help="Read the statements from FILE.")
@click.option(
    "--parameter",
    "-p",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="A value for $NAME; a number, true, false, null, or a text.",
)
@click.option(
    "--timeout",
    type=Span(),
    metavar="TIME",
    help="How long a SELECT may work, in seconds or as '5 minutes' (default: statement_timeout of tilth.toml, or 60).",
)
@click.option(
    "--limit",
    default=100,
    show_default=True,
    type=click.IntRange(1, MOST),
    help="Rows of a table that are shown.",
)
@CLOCK
def sql(
    statement: str | None,
    project: str,
    environment: str | None,
    as_json: bool,
    as_csv: bool,
    vertical: bool,
    output: str | None,
    force: bool,
    file: str | None,
    pairs: tuple[str, ...],
    limit: int,
    timeout: float | None,
    clock: str | None,
) -> None:
    """Perform a STATEMENT: SELECT, SHOW, DESCRIBE, PLAN, APPLY, CREATE, REFRESH, RETRAIN, PROMOTE, ROLLBACK and more.

    \b
    Without one, statements are read from a pipe, or at a prompt (end each with `;`, `help` helps).
    Example: tilth sql "SELECT * FROM departures WHERE origin = $from LIMIT 5" -p from=JFK
             tilth sql -f scores.sql --output scores.parquet
    """
    values = parameters.given(pairs)
    if file is not None and statement is not None:
        raise click.UsageError("Give a STATEMENT or --file, not both.")
    if output is not None and (as_json or as_csv or vertical):
        raise click.UsageError(
            "--output takes its format from the file's suffix: leave out --json, --csv, --vertical."
        )
    suffix = None if output is None else files.checked(output, force=force)
    text = statement if file is None else _read(file)
    line = show.Line()
    place = opened(project, clock)
    session = place.session(environment, line, show.did, door="cli")
    session.limits = replace(session.limits, seconds=timeout or session.limits.seconds)
    form = "json" if as_json else "csv" if as_csv else "vertical" if vertical else "table"
    if text is None and sys.stdin.isatty() and output is None:
        _prompt(session, line, form, limit, values)
        return
    given = said.statements(sys.stdin.read() if text is None else text, values, file)
    if output is not None and suffix is not None:
        _write(session, line, given, output, suffix, force=force)
        return
    if _answer(session, line, given, form, limit, there(place, environment)):
        raise SystemExit(GateRefusedError.exit_status)


def _read(file: str) -> str:
    """The statements of a file."""
    try:
        with open(file, encoding="utf-8") as found:
            return found.read()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise click.BadParameter(f"{file!r} cannot be read: {why}.", param_hint="--file") from error


def _prompt(session: Session, line: show.Line, form: str, limit: int, values: dict[str, Value]) -> None:
    from tilth.interfaces.cli import shell, typed

    def perform(text: str) -> None:
        named = {n: v for n, v in values.items() if f"${n}" in text}
        with at.timed():
            _answer(session, line, said.statements(text, named), at.form, limit, shell=at)

    at = shell.Shell(session, perform, form)
    typed.prompt(perform, lambda: shell.named(session), at)


def _write(
    session: Session, line: show.Line, given: Sequence[Said], path: str, suffix: str, *, force: bool
) -> None:
    """The rows of one question into a file."""
    from tilth.runtime.asking.session import ASKS

    if len(given) > 1:
        raise click.UsageError(
            f"--output takes the rows of one question, and these are {len(given)} statements."
        )
    one = given[0]
    if type(one.statement) not in ASKS:
        raise click.UsageError(
            "--output takes the rows of a question: SELECT, SHOW, DESCRIBE, SUMMARIZE, EXPLAIN, LOOK AT."
        )
    try:
        with one.placed():
            done = session.perform(one.statement)
            assert done.reader is not None
            rows = files.write(done.reader, path, suffix, force=force)
    finally:
        line.close()
    click.echo(f"{path} holds {rows:,} row{'' if rows == 1 else 's'}.", err=True)
    for words in done.told:
        show.note(words)


def _answer(
    session: Session,
    line: show.Line,
    given: Sequence[Said],
    form: str,
    limit: int,
    there: str | None = None,
    shell: Shell | None = None,
) -> bool:
    """Perform the statements and print what each answers; whether a candidate was refused. `there` is the option that names the
    environment: what to do next is told after the last one; not at a prompt, which has none.
    """
    refused = False
    for number, one in enumerate(given, 1):
        try:
            with one.placed():
                done = _performed(session, one.statement)
                steps = () if there is None or number < len(given) else _next(one.statement, done, there)
                _print(done, line, form, limit, one.statement, steps, shell)
        finally:
            line.close()
        refused = refused or done.refused
    return refused


def _performed(session: Session, statement: Statement) -> Result:
    """What the statement answers; an APPLY that would drop what serves asks first, where somebody can be asked."""
    try:
        return session.perform(statement)
    except ServedDropError as error:
        session.may_drop = planning.asked(error)
    try:
        return session.perform(statement)
    finally:
        session.may_drop = ()


def _next(statement: Statement, done: Result, there: str) -> Sequence[str]:
    """What to do after a statement that acts."""
    about = {**done.facts, "statement": type(statement).__name__, "refused": done.refused}
    named = {name: getattr(statement, name) for name in ("name", "model") if hasattr(statement, name)}
    return () if done.reader is not None else after("sql", {**about, **named}, there)


def _print(
    done: Result,
    line: show.Line,
    form: str,
    limit: int,
    statement: Statement,
    steps: Sequence[str],
    shell: Shell | None = None,
) -> None:
    if done.reader is None:
        show.facts(done.facts, show.untold(done.text), form == "json", steps)
        for words in done.told:
            show.note(words)
        return
    line.close()
    if isinstance(statement, Describe) and form == "table" and "kind" in done.facts:
        from tilth.interfaces.cli import describe

        click.echo(show.clean(describe.words(done.facts)))
        return
    if done.text:
        click.echo(show.clean(done.text), err=form in ("json", "csv"))
    if shell is not None and shell.output is not None:
        suffix = files.checked(shell.output, force=True)
        count = files.write(done.reader, shell.output, suffix, force=True)
        click.echo(f"{shell.output} holds {count:,} row{'' if count == 1 else 's'}.", err=True)
    else:
        show.rows(done.reader, form, limit, click.echo if shell is None else shell.shows)
    for words in done.told:
        show.note(words)


@click.command()
@click.argument("model", shell_complete=completing.MODELS)
@click.argument("inputs", nargs=-1, metavar="[INPUT=VALUE]...")
@PROJECT
@ENV
@JSON
@click.option("--explain", is_flag=True, help="Show which inputs made the prediction what it is.")
@click.option(
    "--horizon",
    type=click.IntRange(1, MOST),
    metavar="N",
    help="Of a model that forecasts: steps ahead (default: its HORIZON).",
)
@click.option(
    "--version",
    "version",
    type=click.IntRange(0, MOST),
    metavar="N",
    help="A version (default: the one that serves).",
)
@CLOCK
def predict(
    model: str,
    inputs: tuple[str, ...],
    project: str,
    environment: str | None,
    as_json: bool,
    explain: bool,
    horizon: int | None,
    version: int | None,
    clock: str | None,
) -> None:
    """One prediction of MODEL from inputs by name; `input=` without a value is missing. Of a model that forecasts: the next steps of
    a series.

    \b
    MODEL may carry a version: late@3.
    Example: tilth predict late origin=JFK dest=LAX carrier=DL distance=2475 --explain
             tilth predict house_prices type=house --horizon 4
    """
    from tilth.ml.model.gaps import GapWarning, OutsideWarning

    name, _, pinned = model.partition("@")
    if pinned and version_number(pinned) is None:
        raise click.BadParameter(f"{pinned!r} is not a version's number; write {name}@3.", param_hint="MODEL")
    place = opened(project, clock)
    found = place.model(name, int(pinned) if pinned else version, environment)
    steps = after("predict", {"model": name}, there(place, environment))
    if found.forecasts:
        foretelling.shown(found, _given(inputs, found.groups, name), horizon, as_json, steps, explain=explain)
        return
    if horizon is not None:
        raise click.UsageError(f"--horizon is of models that forecast, and `{name}` predicts row by row.")
    given = _given(inputs, found.inputs, name)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", GapWarning)
        warnings.simplefilter("always", OutsideWarning)
        why = found.explain(given) if explain else None
        answer = {k: v for k, v in found.predict(given).items() if k not in given}
    strange = [*_strange(place.session(environment), found, given)]  # closer than far out, where it is known
    closer = {words.split(":")[0] for words in strange}  # the inputs that it tells of
    warned = [
        str(w.message) for w in told if not (issubclass(w.category, OutsideWarning) and _about(w, closer))
    ]
    for words in dict.fromkeys((*warned, *strange)):
        show.note(words)
    if why is not None:
        each = (
            [(name, why)]
            if isinstance(found.classes, tuple)
            else [(f"{output} of {name}", one) for output, one in why.items()]
        )
        show.facts(why, "\n\n".join(_explained(*one) for one in each), as_json, steps)
        return
    said = {**answer, "model": name, "version": found.version}
    show.facts(said, "\n".join(f"{k}: {_shown(v)}" for k, v in said.items()), as_json, steps)


def _about(told: warnings.WarningMessage, inputs: Iterable[str]) -> bool:
    """Whether the warning is of one of these inputs, each in its quotes."""
    return any(one in str(told.message) for one in inputs)


def _strange(session: Session, found: Model, given: dict[str, Any]) -> Iterator[str]:
    """What is unlike the training of the version that serves; of others nothing is told."""
    try:
        facts: Any = session.perform(Describe(None, found.name)).facts
    except UnknownNameError:  # its versions are there, and nobody declares it
        return iter(())
    return unlike(facts["inputs"], given) if facts["version"] == found.version else iter(())


def _given(pairs: tuple[str, ...], types: dict[str, str], model: str) -> dict[str, Any]:
    """The inputs by name; InputError for one that is given twice."""
    out: dict[str, Any] = {}
    for pair in pairs:
        name, value = _typed(pair, types, model)
        if name in out:
            raise InputError(f"Input `{name}` of model `{model}` is given twice.", hint="Keep one of them.")
        out[name] = value
    return out


def _typed(pair: str, types: dict[str, str], model: str) -> tuple[str, Any]:
    """`name=value` with the value in the input's type."""
    from tilth.core.names import did_you_mean
    from tilth.ml.model.values import fitted

    key, sep, text = pair.partition("=")
    if not sep:
        raise click.BadParameter(
            f"{pair!r} is not INPUT=VALUE; write for example {next(iter(types), 'x')}=1."
        )
    by_lower = {n.lower(): n for n in types}
    name = by_lower.get(key.lower())
    if name is None:
        raise InputError(f"Model `{model}` has no input `{key}`.", hint=did_you_mean(key, types, "inputs"))
    kind = types[name].removesuffix("?")
    try:
        return name, None if text == "" else fitted(_PARSE.get(kind, str)(text), DataType(kind))
    except ValueError as error:
        raise InputError(
            f"{text!r} does not fit the input `{name}`: it is {kind}.",
            hint=f"Write {name}={_meant(text, kind)}.",
        ) from error


def _meant(text: str, kind: str) -> str:
    """How the text may be meant, if one reading alone is likely: a decimal comma, a day before its month; else an example."""
    if kind == "float" and re.fullmatch(r"[+-]?\d+,\d+", text):
        return text.replace(",", ".")
    found = re.fullmatch(r"(\d{1,2})[./](\d{1,2})[./](\d{4})", text)
    if kind == "date" and found and int(found[1]) > 12 >= int(found[2]):
        return f"{found[3]}-{found[2]:0>2}-{found[1]:0>2}"
    return _EXAMPLE.get(kind, "text")


def _boolean(text: str) -> bool:
    words = {
        "true": True,
        "t": True,
        "1": True,
        "yes": True,
        "false": False,
        "f": False,
        "0": False,
        "no": False,
    }
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


def _number(text: str) -> int | float:
    """The number; `nan` and `inf` are gaps, as at every door."""
    try:
        return int(text)
    except ValueError:
        return float(text)


_PARSE: dict[str, Any] = {"integer": _number, "float": _number, "decimal": _number, "boolean": _boolean}
_EXAMPLE = {
    "integer": "7",
    "float": "1.5",
    "decimal": "1.5",
    "boolean": "true",
    "timestamp": "2013-07-04T18:30:00",
    "date": "2013-07-04",
}


def _shown(value: Any) -> str:
    """The value as a cell of a result; an object as JSON."""
    return show.json_text(value) if isinstance(value, dict) else sql_text(value)


def _shown_figure(value: float | None) -> str:
    return "unknown" if value is None else figure(value)


def _explained(model: str, why: dict[str, Any]) -> str:
    head = f"{model} version {why['version']} says {_shown(why['value'])}, confidence {_shown_figure(why['confidence'])}"
    parts = why.get("contributions", [])
    rows = [(p["input"], p["given"], figure(p["contribution"])) for p in parts]
    if rows:
        others = f", {figure(why['others'])} of the inputs that are not listed" if why["others"] else ""
        total = f"From a base of {figure(why['base'])}{others} they add up to {figure(why['total'])}: {why['of']}."
        note = f"\n{why['note']}" if why.get("note") else ""
        return f"{head}\n{show.table(('input', 'given', 'contribution'), rows)}\n{total}{note}"
    return f"{head}\n{why['note']}" if why.get("note") else head

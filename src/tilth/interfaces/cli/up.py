"""`tilth up`: serves an environment over HTTP and keeps one reconciler process running beside it.

The reconciler is a child that is started again when it ends, each time a little later, and that ends with this process.
Serving itself is in `interfaces.http.server`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from tilth.app.project import Project
from tilth.core.errors import StateChangedError
from tilth.interfaces.cli import lines, show, sql_door
from tilth.interfaces.cli.options import CLOCK, ENV, JSON, PROJECT, opened, there
from tilth.runtime.showing.next_steps import after

if TYPE_CHECKING:
    from tilth.interfaces.http.listening import Place
    from tilth.runtime.serving.node import Node

PORT = 8439
SOONEST, LATEST = 0.5, 30.0  # seconds until an ended reconciler is started again
STEADY = 60.0  # seconds after which it counts as running well
LAST = 15.0  # seconds it has to end by itself


@click.command()
@PROJECT
@ENV
@click.option("--host", help="The address to listen on (default: 127.0.0.1, this machine only).")
@click.option(
    "--port", default=PORT, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one."
)
@click.option("--tls-cert", metavar="FILE", help="The certificate with its chain, in PEM form.")
@click.option("--tls-key", metavar="FILE", help="Its key, in PEM form.")
@click.option("--unix-socket", metavar="PATH", help="Listen on a unix socket (mode 0660) instead.")
@click.option(
    "--behind-proxy", is_flag=True, help="Only a proxy that has TLS reaches this: any Host is answered."
)
@click.option(
    "--postgres-port",
    type=click.IntRange(0, 65535),
    help="Where PostgreSQL's clients connect (default: 5439, or a free one with --port 0).",
)
@click.option("--no-postgres", is_flag=True, help="Without a door for PostgreSQL's clients.")
@click.option("--no-reconcile", is_flag=True, help="Serve only: nothing is refreshed or retrained.")
@click.option(
    "--log",
    "form",
    type=click.Choice(lines.FORMS),
    help="Log each request on standard error, and all else there in this form too.",
)
@JSON
@CLOCK
def up(
    project: str,
    environment: str | None,
    host: str | None,
    port: int,
    tls_cert: str | None,
    tls_key: str | None,
    unix_socket: str | None,
    behind_proxy: bool,
    postgres_port: int | None,
    no_postgres: bool,
    no_reconcile: bool,
    form: str | None,
    as_json: bool,
    clock: str | None,
) -> None:
    """Serve predictions, refresh and retrain unattended; Ctrl-C ends it.

    \b
    Others reach it with TLS, or by a proxy that has it: see docs/operations.md.
    Example: tilth up --project flights --port 8439
             tilth up --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem
             tilth up --unix-socket /run/tilth/tilth.sock --behind-proxy
             psql "host=127.0.0.1 port=5439 user=tilth dbname=prod", with the token in .tilth/token as the password
    """
    from tilth.interfaces.http.guard import token
    from tilth.interfaces.http.journal import Journal
    from tilth.interfaces.http.listening import Wanted, place
    from tilth.interfaces.http.server import serve
    from tilth.runtime.serving.node import SERVED

    found = opened(project, clock)
    name = _serves(found, environment)
    here = place(Wanted(host, port, tls_cert, tls_key, unix_socket, behind_proxy))
    door = sql_door.wanted(here, postgres_port, port, none=no_postgres)
    say = lines.teller(form, here.told)
    journal = None if form is None else Journal(form, lines.write, lines.now)
    keeper = None if no_reconcile else Keeper(command(found, name, clock, form), say)
    try:
        url = f"{here.url}/#token={token(found.home)}"
        if keeper is not None:
            keeper.start()
        with found.work().locks.hold(SERVED, shared=True):
            serve(
                found.work(),
                found.home,
                name,
                here,
                lambda node: _ready(node, here, url, as_json, there(found, name), door),
                say,
                found.disk,
                journal,
                None if door is None else sql_door.opened(door, found, name, say),
                lambda at, by, progress: found.session(at or name, progress, by=by, door="http"),
                drawing(found, clock),
            )
    finally:
        if keeper is not None:
            keeper.stop()
        _close(door, here, found)


def _close(*places: sql_door.Wanted | Place | Project | None) -> None:
    for one in places:
        if one is not None:
            one.close()


def _serves(found: Project, environment: str | None) -> str:
    """The environment that is served, once it is known that there is something to serve from: declarations, or a sound state."""
    if not found.applied:
        found.graph()  # what declares nothing is refused before anything is made
    elif flaws := found.state().flaws(quick=True):
        raise StateChangedError(
            f"The state's pages are damaged: {flaws[0]}.",
            hint="Put it back from a backup, or run: tilth restore FILE",
        )
    name = environment or found.settings.environment
    if name != found.settings.serving:
        click.echo(
            f"Gates hold in `{found.settings.serving}`, and this serves `{name}`: candidates are taken there whatever their gate "
            f'says. Write serving = "{name}" in tilth.toml if they must win.',
            err=True,
        )
    return name


def _ready(
    node: Node, here: Place, url: str, as_json: bool, there: str, door: sql_door.Wanted | None
) -> None:
    """Say that it serves, and where."""
    if as_json:
        facts = {"url": url, "port": here.port, "pid": os.getpid()}
        facts |= {} if door is None else {"postgres": door.port}
        print(json.dumps(facts if here.path is None else {**facts, "socket": here.path}), flush=True)
    else:
        said = words(node, url, here.path)
        if door is not None:
            said.append(f"  {sql_door.words(door, node.environment)}")
        print("\n".join(said), flush=True)
        table = node.table
        facts = {
            "environment": node.environment,
            "endpoints": [] if table is None else [r.endpoint for r in table.routes.values()],
            "generation": 0 if table is None else table.generation,
        }
        show.next_steps(after("up", facts, there))


def words(node: Node, url: str, path: str | None = None) -> list[str]:
    """What is served, and where to look."""
    health, table = node.health(), node.table
    out = [f"tilth serves {node.environment} at {url}"]
    if path is not None:
        out.append(f"  by the unix socket {path}: curl --unix-socket {path} {url.partition('#')[0]}healthz")
    if table is None:
        return [*out, "  nothing is served yet: run `tilth apply`"]
    base = url.partition("#")[0]
    for route in table.routes.values():
        versions = " and ".join(str(s.version) for s in route.sides())
        model = route.champion.model.name
        out.append(f"  POST {base}predict/{route.endpoint}: {model} version {versions} ({route.stage})")
    if not table.routes:
        out.append("  no endpoint is declared: CREATE ENDPOINT name FOR MODEL model; then `tilth apply`")
    reasons = health["reasons"]
    assert isinstance(reasons, list)
    return [*out, *(f"  degraded: {reason}" for reason in reasons)]


def command(project: Project, environment: str, clock: str | None, form: str | None = None) -> list[str]:
    """How the reconciler of this project is started."""
    more = ["--clock", os.path.abspath(clock)] if clock else []
    more += ["--log", form] if form else []
    return [
        sys.executable, "-m", "tilth", "reconcile", "--project", project.root, "--env", environment, *more,
    ]  # fmt: skip


def drawing(project: Project, clock: str | None) -> list[str]:
    """How the process that draws the console's pages is started."""
    more = [os.path.abspath(clock)] if clock else []
    return [sys.executable, "-m", "tilth.interfaces.console.child", project.root, *more]


class Keeper:
    """Keeps one child process running from a thread of its own, which lives as long as the child may."""

    def __init__(self, line: Sequence[str], say: Callable[[str], None]) -> None:
        self._say = say
        self._line = list(line)
        self._stop = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="tilth-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask the child to end, insist after a while, and wait for it."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(LAST + 5)

    def _run(self) -> None:
        wait = SOONEST
        while not self._stop.is_set():
            began = time.monotonic()
            status = self._once()
            if self._stop.is_set():
                return
            wait = SOONEST if time.monotonic() - began > STEADY else min(wait * 2, LATEST)
            self._say(f"the reconciler ended with status {status}; it is started again in {wait:g} s")
            self._stop.wait(wait)

    def _once(self) -> int:
        """Run the child to its end, or to ours."""
        child = (
            subprocess.Popen(  # in a session of its own: Ctrl-C is for this process, which ends it in order
                self._line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
            )
        )
        while child.poll() is None and not self._stop.wait(0.1):
            pass
        if child.poll() is None:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(LAST)
        if child.poll() is None:
            child.kill()
        return child.wait()

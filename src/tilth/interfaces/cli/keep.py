"""`tilth verify`, `tilth backup` and `tilth restore`: whether all is as it was written, and what to do when it is not."""

from __future__ import annotations

import click

from tilth.adapters.clocks import FileClock
from tilth.core.errors import ProjectError
from tilth.core.sizes import show_size
from tilth.interfaces.cli import show
from tilth.interfaces.cli.options import CLOCK, JSON, PROJECT, opened
from tilth.runtime.showing.next_steps import after


@click.command()
@click.option("--quick", is_flag=True, help="Look at the state, and whether all files are there; read none.")
@PROJECT
@JSON
def verify(quick: bool, project: str, as_json: bool) -> None:
    """Check that all is what tilth wrote: the state, its audit chain and signed head, every pointer, every file of content.

    \b
    Exit status 5 or 7 when something is not; each thing is named, with what mends it.
    Example: tilth verify --quick
    """
    line = show.Line()
    try:
        found = opened(project).verify(line, quick=quick)
    finally:
        line.close()
    words = (
        f"The audit chain of {found.audit_rows} rows, {found.pointers} pointers, {found.bundles} bundles and "
        f"{found.blobs} blobs ({show_size(found.bytes)}) {'are there' if quick else 'hold'}."
    )
    if found.behind:
        words += f"\nThe signed head is {found.behind} rows behind; the next change catches up."
    facts = {
        "audit_rows": found.audit_rows,
        "pointers": found.pointers,
        "bundles": found.bundles,
        "blobs": found.blobs,
        "bytes": found.bytes,
        "behind": found.behind,
        "quick": quick,
        "ok": True,
    }
    show.facts(facts, words, as_json, after("verify", facts))


@click.command()
@click.argument("file", type=click.Path())
@click.option(
    "--with-keys", is_flag=True, help="Put the private signing key in: whoever has the file can sign."
)
@PROJECT
@JSON
@CLOCK
def backup(file: str, with_keys: bool, project: str, as_json: bool, clock: str | None) -> None:
    """Write everything that tilth keeps of the project into one new FILE, while it goes on serving.

    \b
    State, data, models, quarantine and predictions, as they are at one instant; read back before it is done.
    Sources, *.sql files and the token are not in it, and the private key only with --with-keys.
    Example: tilth backup flights-2026-11-28.tilth --with-keys
    """
    from tilth.app import backups

    line = show.Line()
    try:
        made = backups.backup(opened(project, clock), file, with_keys=with_keys, progress=line)
    finally:
        line.close()
    key = "with the private key" if made.keys else "without the private key: keep that elsewhere"
    words = (
        f"{file} holds {made.blobs} blobs, {made.bundles} bundles, {made.predictions} files of predictions and a state "
        f"of {made.audit_rows} audit rows in {show_size(made.bytes)}, {key}."
    )
    show.facts(backups.facts(made), words, as_json, after("backup", {}))


@click.command()
@click.argument("file", type=click.Path(), required=False)
@click.option("--force", is_flag=True, help="Move a .tilth that is there aside; nothing is deleted.")
@click.option(
    "--new-head", is_flag=True, help="Restore nothing: sign the state as it is, after its chain was verified."
)
@PROJECT
@JSON
@CLOCK
def restore(
    file: str | None, force: bool, new_head: bool, project: str, as_json: bool, clock: str | None
) -> None:
    """Put a backup in place, after every byte of it was verified. End `tilth up` of the project before.

    \b
    Example: tilth restore flights-2026-11-28.tilth --project flights --force
    """
    from tilth.app import backups

    if new_head == (file is not None):
        raise ProjectError("Name one backup, or give --new-head.", hint="Example: tilth restore FILE")
    if file is None:
        length = backups.new_head(opened(project, clock))
        show.facts({"audit_rows": length}, f"The head of {length} audit rows is signed.", as_json)
        return
    line = show.Line()
    try:
        done = backups.restore(project, file, force=force, progress=line, clock=_clock(clock))
    finally:
        line.close()
    what = f"{done.audit_rows} audit rows, {done.blobs} blobs, {done.bundles} bundles"
    rows = [f"The project is as it was at {done.made_at[:19]}: {what}, all verified."]
    if done.aside:
        rows.append(f"What was there before is in {done.aside}.")
    if not done.can_sign:
        rows.append(
            "Its private key is not there: what was signed is served, and nothing new can be signed. "
            "Put signing_key.pem into .tilth/keys (chmod 600) to go on."
        )
    show.facts(backups.facts(done), "\n".join(rows), as_json, after("restore", {}))


def _clock(path: str | None) -> FileClock | None:
    return FileClock(path) if path else None

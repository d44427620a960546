"""Commands around the database: `dashboard`, `database`."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated

import typer

from nas import database as embedded
from nas.application import Application
from nas.errors import DatabaseError
from nas.report.dashboard import serve

database = typer.Typer(
    help="Start, stop or show the embedded PostgreSQL server.", no_args_is_help=True, rich_markup_mode=None
)


def dashboard(
    context: typer.Context,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. Whoever reaches it needs no password to read everything, to delete studies "
            "(but with --read-only), and to upload HTML that is then served from it."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Write nothing; a database role that may only read is enough.")
    ] = False,
) -> None:
    """Browse the studies in optuna-dashboard."""
    application: Application = context.obj
    storage = application.connect(create_tables=not read_only)
    application.say(f"http://{host}:{port}/  (Ctrl-C ends it)")
    with nullcontext() if read_only else application.refreshed():
        serve(storage, host, port, read_only=read_only)


@database.command()
def start(context: typer.Context) -> None:
    """Start the embedded server and leave it running until `nas database stop`."""
    application: Application = context.obj
    _require_embedded(application)
    address = embedded.start(application.settings.home, keep_running=True)
    application.say(embedded.masked(address))


@database.command()
def stop(context: typer.Context) -> None:
    """Stop the embedded server, whoever uses it."""
    application: Application = context.obj
    _require_embedded(application)
    stopped = embedded.stop(application.settings.home)
    application.say("stopped" if stopped else "was not running")


@database.command()
def url(context: typer.Context) -> None:
    """Show the database's URL, the password hidden."""
    application: Application = context.obj
    application.say(embedded.masked(application.database_url))


def _require_embedded(application: Application) -> None:
    if application.settings.storage_url is not None:
        raise DatabaseError("NAS_STORAGE points at another server; unset it to start or stop the embedded one")

"""Commands for the embedded PostgreSQL server: `database start`, `stop` and `url`."""

from __future__ import annotations

import typer

from nas import database as embedded
from nas.commands.composition.application import Application
from nas.errors import DatabaseError

database = typer.Typer(
    help="Start, stop or show the embedded PostgreSQL server.", no_args_is_help=True, rich_markup_mode=None
)


@database.command()
def start(context: typer.Context) -> None:
    """Start the embedded server and leave it running until `nas database stop`."""
    application: Application = context.obj
    _require_embedded(application)
    address = embedded.start(application.settings.home, keep_running=True)
    application.print_line(embedded.masked_url(address))


@database.command()
def stop(context: typer.Context) -> None:
    """Stop the embedded server, even if it is in use."""
    application: Application = context.obj
    _require_embedded(application)
    stopped = embedded.stop(application.settings.home)
    application.print_line("stopped" if stopped else "was not running")


@database.command()
def url(context: typer.Context) -> None:
    """Show the URL of the database, with the password hidden."""
    application: Application = context.obj
    application.print_line(embedded.masked_url(application.database_url))


def _require_embedded(application: Application) -> None:
    if application.settings.storage_url is not None:
        raise DatabaseError("NAS_STORAGE points at another server; unset it to start or stop the embedded one")

"""Entry point of the command line."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import signal
import sys
import warnings
from typing import Annotated

import typer

from nas import __version__
from nas.commands.archive import archive, restore
from nas.commands.check import check
from nas.commands.composition.application import Application
from nas.commands.composition.environment_settings import read_settings
from nas.commands.create import create
from nas.commands.dashboard import dashboard
from nas.commands.database import database
from nas.commands.export import export
from nas.commands.finals import finals
from nas.commands.front import front
from nas.commands.measure import measure
from nas.commands.predict import predict
from nas.commands.report import report
from nas.commands.search import search
from nas.commands.show import show
from nas.commands.status import status, studies
from nas.commands.worker import worker
from nas.errors import NasError
from nas.results.printable_text import printable_lines

app = typer.Typer(
    help="Find the smallest CNN that beats ResNet-18 on your images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
for command in (
    search, create, worker, check, studies, status, front, show, measure, finals, report, export, predict,
    archive, restore, dashboard,
):  # fmt: skip
    app.command()(command)
app.add_typer(database, name="database")


def _print_version(is_requested: bool) -> None:
    if is_requested:
        typer.echo(f"nas {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True)] = False,
) -> None:
    if not debug:
        # Optuna warns of experimental features and logs each new trial; neither concerns the user.
        warnings.simplefilter("ignore")
        logging.getLogger("optuna").setLevel(logging.ERROR)
    context.obj = application = Application(read_settings())
    context.call_on_close(application.close)


def main() -> None:
    """Run the command line: exit code 0 when done, 1 for an error, 2 for wrong usage, 130 when interrupted."""
    # A normal exit, so that trainer processes are ended and the embedded server is released.
    for one in (signal.SIGTERM, signal.SIGHUP):
        if one is signal.SIGTERM or signal.getsignal(one) is not signal.SIG_IGN:
            signal.signal(one, lambda number, frame: sys.exit(128 + number))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal without Unicode shows a question mark.
            stream.reconfigure(errors="replace")
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except NasError as error:
        if "--debug" in sys.argv:
            raise
        _print_error(str(error))
        sys.exit(1)
    except OSError as error:
        if "--debug" in sys.argv:
            raise
        _discard_output()
        if not isinstance(error, BrokenPipeError):
            _print_error(f"{error.filename or 'the output cannot be written'}: {error.strerror or error}")
        sys.exit(1)


def _print_error(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"error: {printable_lines(text)}", file=sys.stderr, flush=True)


def _discard_output() -> None:
    """Write the rest of the output nowhere: Python would try again, and fail, at its exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

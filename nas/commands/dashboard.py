"""Command `dashboard`: serve optuna-dashboard."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated

import typer

from nas.commands.composition.application import Application
from nas.report.dashboard.dashboard_server import serve


def dashboard(
    context: typer.Context,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. There is no password: every client can read everything, delete studies "
            "(except with --read-only), and upload HTML that is then served from it."
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
    application.print_line(f"http://{host}:{port}/  (Ctrl-C ends it)")
    with nullcontext() if read_only else application.dashboard_refresh():
        serve(storage, host, port, read_only=read_only)

"""optuna-dashboard server, and a study's own figures and note for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from nas.errors import DatabaseError
from nas.report.tables.grid_tables import settings_table
from nas.search.analysis.front_summary import FrontSummary, summarize_records
from nas.search.analysis.grid_results import gather_settings
from nas.search.search_study import SearchStudy
from nas.search.storage.optuna_storage import Storage
from nas.search.storage.trial_records import TrialRecord

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def serve(storage: Storage, host: str, port: int, *, read_only: bool = False) -> None:
    """Serve the dashboard until the process is interrupted.

    Args:
        read_only: Refuse every request but GET and HEAD, whatever the database permits.

    Raises:
        DatabaseError: The server cannot listen on the address.
    """
    import optuna_dashboard  # here, because it imports pandas and scikit-learn, which takes a second

    application: WSGIApplication = optuna_dashboard.wsgi(storage.rdb, artifact_store=storage.artifacts)
    if read_only:
        application = _read_only(application)
    try:
        server = make_server(host, port, application, _ThreadingServer, _QuietHandler)
    except OSError as error:
        raise DatabaseError(f"cannot listen on {host}:{port} ({error.strerror}); choose another --port") from error
    with server:
        server.serve_forever()


def _read_only(application: WSGIApplication) -> WSGIApplication:
    """Wrap the application to answer 403 to all requests but GET and HEAD."""

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return application(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "application/json")])
        return [b'{"reason": "this dashboard is read-only"}']

    return guarded


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    """Server with one thread per request.

    Handled in the main thread, an interrupt would count as an error of the request.
    """

    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Suppress the log line of each request."""


def write_report(study: SearchStudy, records: Sequence[TrialRecord]) -> None:
    """Save a study's figures and note for the dashboard, replacing earlier ones."""
    import optuna_dashboard

    from nas.report.figures.search_figures import study_figures

    for identifier, figure in study_figures(study.name, records).items():
        optuna_dashboard.save_plotly_graph_object(study.optuna_study, figure, graph_object_id=identifier)
    optuna_dashboard.save_note(study.optuna_study, study_note(study, records))


def study_note(study: SearchStudy, records: Sequence[TrialRecord]) -> str:
    """Markdown note on a study: data, verdict, and the front or a grid's settings."""
    dataset, spec = study.dataset_summary, study.spec
    summary = summarize_records(study.name, records, has_baseline=spec.baseline.enabled)
    settings = gather_settings(spec, records)
    paragraphs = [
        f"# {study.name}",
        spec.description,
        f"{'Searches' if settings is None else 'Compares settings of'} {', '.join(spec.families)} "
        f"on {dataset.name}: {len(dataset.classes)} classes, "
        f"{dataset.num_train:,} training and {dataset.num_validation:,} validation images, "
        f"{spec.budget.epochs} epochs a trial.",
        summary.verdict if settings is None else settings.verdict,
        "" if settings is None else settings_table(settings).as_markdown(),
        _front_as_markdown(summary),
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _front_as_markdown(summary: FrontSummary) -> str:
    rows = ["| trial | family | macro-F1 | parameters | times smaller |", "|---|---|---|---|---|"]
    for record in (*summary.front, *([summary.baseline] if summary.baseline else [])):
        smaller = summary.times_smaller(record)
        rows.append(
            f"| {record.number}{' (baseline)' if record.is_baseline else ''} | {record.family} | "
            f"{record.macro_f1:.4f} | {record.params or 0:,} | {f'{smaller:,.1f}' if smaller else '-'} |"
        )
    return "\n".join(rows)

"""optuna-dashboard: serving it, and what it shows of a study beside its own charts: figures and a note."""

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
        read_only: Refuse every request that could change something, whatever the database would allow.

    Raises:
        DatabaseError: The address cannot be listened on.
    """
    import optuna_dashboard  # here, since it brings pandas and scikit-learn, a second for every other command

    application: WSGIApplication = optuna_dashboard.wsgi(storage.rdb, artifact_store=storage.artifacts)
    if read_only:
        application = _reading_only(application)
    try:
        server = make_server(host, port, application, _ThreadingServer, _QuietHandler)
    except OSError as error:
        raise DatabaseError(f"cannot listen on {host}:{port} ({error.strerror}); choose another --port") from error
    with server:
        server.serve_forever()


def _reading_only(application: WSGIApplication) -> WSGIApplication:
    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return application(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "application/json")])
        return [b'{"reason": "this dashboard is read-only"}']

    return guarded


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    """A thread a request: an interrupt in the main thread would else be taken for a fault of the request."""

    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """A line a request would hide what matters."""


def write_report(study: SearchStudy, records: Sequence[TrialRecord]) -> None:
    """Put a study's figures and note into the dashboard, in the place of earlier ones."""
    import optuna_dashboard

    from nas.report.figures.search_figures import study_figures

    for identifier, figure in study_figures(study.name, records).items():
        optuna_dashboard.save_plotly_graph_object(study.optuna_study, figure, graph_object_id=identifier)
    optuna_dashboard.save_note(study.optuna_study, note(study, records))


def note(study: SearchStudy, records: Sequence[TrialRecord]) -> str:
    """The note, in Markdown."""
    facts, spec = study.facts, study.spec
    summary = summarize_records(study.name, records, has_baseline=spec.baseline.enabled)
    settings = gather_settings(spec, records)
    paragraphs = [
        f"# {study.name}",
        spec.description,
        f"{'Searches' if settings is None else 'Compares settings of'} {', '.join(spec.families)} "
        f"on {facts.name}: {len(facts.classes)} classes, "
        f"{facts.num_train:,} training and {facts.num_validation:,} validation images, "
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

"""optuna-dashboard: serving it, and the note that it shows beside a study."""

from __future__ import annotations

from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from nas.errors import DatabaseError
from nas.search.storage import Storage
from nas.search.study import SearchStudy
from nas.search.summary import FrontSummary


def serve(storage: Storage, host: str, port: int) -> None:
    """Serve the dashboard until the process is interrupted.

    Raises:
        DatabaseError: The address cannot be listened on.
    """
    import optuna_dashboard  # here, since it brings pandas and scikit-learn, a second for every other command

    application = optuna_dashboard.wsgi(storage.rdb, artifact_store=storage.artifacts)
    try:
        server = make_server(host, port, application, _ThreadingServer, _QuietHandler)
    except OSError as error:
        raise DatabaseError(f"cannot listen on {host}:{port} ({error.strerror}); choose another --port") from error
    with server:
        server.serve_forever()


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    """A thread a request: an interrupt in the main thread would else be taken for a fault of the request."""

    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """A line a request would hide what matters."""


def write_note(study: SearchStudy, summary: FrontSummary) -> None:
    """Put what the study searches, its baseline and its verdict into the dashboard's note."""
    import optuna_dashboard

    optuna_dashboard.save_note(study.optuna_study, note(study, summary))


def note(study: SearchStudy, summary: FrontSummary) -> str:
    """The note, in Markdown."""
    facts, spec = study.facts, study.spec
    paragraphs = [
        f"# {study.name}",
        spec.description,
        f"Searches {', '.join(spec.space.families)} on {facts.name}: {len(facts.classes)} classes, "
        f"{facts.num_train:,} training and {facts.num_validation:,} validation images, "
        f"{spec.budget.epochs} epochs a trial.",
        summary.verdict,
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

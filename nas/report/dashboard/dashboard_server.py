"""Server of optuna-dashboard, with a read-only mode."""

from __future__ import annotations

from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from nas.errors import DatabaseError
from nas.search.storage.database_and_artifact_storage import Storage

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

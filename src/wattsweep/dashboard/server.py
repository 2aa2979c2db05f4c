"""Serves the dashboard on the loopback interface.

Other users of the machine can reach loopback too, so every address begins with a secret; and a page of another site
cannot borrow a visitor's browser to read it, since only requests for this very host and port are answered. It reads
files and changes nothing.
"""

import hmac
import json
import secrets
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files

from wattsweep.dashboard.watching import log_of, snapshot
from wattsweep.errors import WattsweepError
from wattsweep.runs.layout import Layout

HOST = "127.0.0.1"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
        "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
FILES = {
    "": ("dashboard.html", "text/html"),
    "dashboard.js": ("dashboard.js", "text/javascript"),
    "dashboard.css": ("dashboard.css", "text/css"),
}


class Dashboard:
    """A server of one results folder; `address` is where its page is.

    Port 0 takes any free one. Raises WattsweepError where the port is taken.
    """

    def __init__(self, layout: Layout, port: int = 0) -> None:
        secret = secrets.token_urlsafe(16)

        class Handler(_Handler):
            results = layout
            prefix = f"/{secret}/"

        try:
            self._server = ThreadingHTTPServer((HOST, port), Handler)
        except OSError as error:
            raise WattsweepError(
                f"port {port} of {HOST} cannot be used ({error.strerror}): give another --port"
            ) from None
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.address = f"http://{HOST}:{self.port}/{secret}/"

    def serve(self) -> None:
        """Answer until `stop` is called or the process is interrupted."""
        self._server.serve_forever()

    def stop(self) -> None:
        """End `serve` and free the port."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    results: Layout
    prefix: str

    def do_GET(self) -> None:
        """Answer with a file of the page, the snapshot or a log."""
        own = {f"{HOST}:{self.server.server_port}", f"localhost:{self.server.server_port}"}  # type: ignore[attr-defined]
        path = self.path.partition("?")[0]
        if self.headers.get("Host") not in own or not hmac.compare_digest(
            path[: len(self.prefix)].encode(), self.prefix.encode()
        ):
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"not found\n")
            return
        try:
            self._answer(path[len(self.prefix) :])
        except (WattsweepError, OSError) as error:
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", f"{error}\n".encode())

    def _answer(self, name: str) -> None:
        if name in FILES:
            file, kind = FILES[name]
            content = (files("wattsweep.dashboard") / file).read_bytes()
            self._send(HTTPStatus.OK, kind, content)
        elif name == "plotly.js":
            self._send(HTTPStatus.OK, "text/javascript", _plotly())
        elif name == "snapshot.json":
            self._send(HTTPStatus.OK, "application/json", json.dumps(snapshot(self.results)).encode())
        elif name.startswith("log/") and name.removeprefix("log/").isalnum():
            try:
                self._send(HTTPStatus.OK, "text/plain", log_of(self.results, name.removeprefix("log/")).encode())
            except FileNotFoundError:
                self._send(HTTPStatus.NOT_FOUND, "text/plain", b"this shard has no log yet\n")
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"not found\n")

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the class's own name for it
        """Say nothing: addresses hold the secret."""


@cache
def _plotly() -> bytes:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).encode()

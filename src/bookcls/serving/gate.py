"""What is let in: which addresses, by which name, from whose pages."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from bookcls.serving.body import Bodies, Message, Receive, RefusedError, Send

App = Callable[[Message, Receive, Send], Awaitable[None]]

FILE = "/gradio_api/file="
GET = ("/assets/", "/static/", FILE)
"""Beginnings of what the page reads. Gradio has more addresses, among them one that fetches."""
ADDRESSES = {
    "GET": {
        "/",
        "/health",
        "/config",
        "/theme.css",
        "/favicon.ico",
        "/manifest.json",
        "/gradio_api/queue/data",
        "/gradio_api/upload_progress",
    },
    "POST": {"/predict", "/gradio_api/upload", "/gradio_api/queue/join"},
}
HEADERS = {
    # Nothing of the page may come from elsewhere, and no other page may show it in a frame. Gradio
    # needs its inline scripts and eval.
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; media-src 'self' data: blob:; object-src 'none'; "
        "base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Gate:
    """An ASGI application before another one, which gets small requests, whole or not at all."""

    def __init__(
        self, app: App, bodies: Bodies, uploads: Path, names: frozenset[str] | None
    ) -> None:
        """Stands before an application.

        Args:
            app: The application.
            bodies: Reads what is sent.
            uploads: The only folder of which files are served.
            names: What it may be called in a request; None where any name will do.
        """
        self.app, self.bodies, self.uploads = app, bodies, uploads.resolve()
        self.names = names

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers, lets through or refuses one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *extra]}
            await send(message)

        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        try:
            self._check(scope["method"], scope["path"], headers)
            if scope["method"] == "POST":
                receive = await self.bodies.whole(receive, headers)
        except RefusedError as refusal:
            await refuse(guarded, refusal)
        except ConnectionError:
            return
        else:
            await self.app(scope, receive, guarded)

    def _check(self, method: str, path: str, headers: dict[str, str]) -> None:
        host = headers.get("host", "")
        try:
            name = urlsplit(f"//{host}").hostname or ""
            origin = urlsplit(headers.get("origin", f"//{host}")).netloc
        except ValueError as error:
            raise RefusedError(400, "the headers Host or Origin hold no address.") from error
        if self.names is not None and name not in self.names:
            # A page elsewhere may give its own name this machine's address (DNS rebinding).
            raise RefusedError(421, f"this server is for this machine alone, not {name}.")
        if origin != host:
            raise RefusedError(403, "a page from elsewhere may not ask this server.")
        known = ADDRESSES.get("GET" if method == "HEAD" else method, set())
        if path in known or (method in ("GET", "HEAD") and self._is_file(path)):
            return
        if any(path in paths for paths in ADDRESSES.values()):
            other = "POST" if method != "POST" else "GET"
            raise RefusedError(405, f"{path} is asked by {other}, not by {method}.")
        raise RefusedError(404, "there is nothing here; the page is at /, answers are at /predict.")

    def _is_file(self, path: str) -> bool:
        if ".." in path.split("/") or not path.startswith(GET):
            return False
        if not path.startswith(FILE):
            return True
        try:
            return Path(path.removeprefix(FILE)).resolve().is_relative_to(self.uploads)
        except (OSError, ValueError):
            return False


async def refuse(send: Send, refusal: RefusedError) -> None:
    """Says why, as json, and ends the connection."""
    body = json.dumps({"error": str(refusal)}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if refusal.status == 503:
        headers.append((b"retry-after", b"5"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

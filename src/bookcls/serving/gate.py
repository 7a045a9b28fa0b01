"""Decides which requests are accepted, by path, host name and origin."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from bookcls.serving.body import Bodies, Message, Receive, RefusedError, Send

App = Callable[[Message, Receive, Send], Awaitable[None]]

FILE = "/gradio_api/file="
STREAM = "/gradio_api/queue/data"
"""Where the page receives its results."""
GET = ("/assets/", "/static/", FILE)
"""Path prefixes that the page reads. Gradio has more, among them one that fetches URLs."""
ADDRESSES = {
    "GET": {
        "/",
        "/health",
        "/config",
        "/theme.css",
        "/favicon.ico",
        "/manifest.json",
        STREAM,
        "/gradio_api/upload_progress",
    },
    "POST": {"/predict", "/gradio_api/upload", "/gradio_api/queue/join"},
}
HEADERS = {
    # The page may load nothing from elsewhere, and no other page may frame it. Gradio
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
    """ASGI middleware that passes on only complete requests of limited size."""

    def __init__(
        self, app: App, bodies: Bodies, uploads: Path, names: frozenset[str] | None
    ) -> None:
        """Wraps an application.

        Args:
            app: The application.
            bodies: Reads the request bodies.
            uploads: The only folder whose files are served.
            names: Host names accepted in requests; None accepts any.
        """
        self.app, self.bodies, self.uploads = app, bodies, uploads.resolve()
        self.names = names

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Passes on or refuses a request."""
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
                receive = await self.bodies.read(receive, headers)
        except RefusedError as refusal:
            await refuse(guarded, refusal)
        except ConnectionError:
            return
        else:
            await self._forward(scope, receive, guarded)

    async def _forward(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except (Exception, asyncio.CancelledError):
            if scope["path"] != STREAM:
                raise
            # Gradio raises again what it has already reported to the client: when the page is
            # older than the server, or when the server stops.
            await send({"type": "http.response.body", "body": b""})

    def _check(self, method: str, path: str, headers: dict[str, str]) -> None:
        host = headers.get("host", "")
        try:
            name = urlsplit(f"//{host}").hostname or ""
            origin = urlsplit(headers.get("origin", f"//{host}")).netloc
        except ValueError as error:
            raise RefusedError(400, "the header Host or Origin is not a valid address.") from error
        if self.names is not None and name not in self.names:
            # A page elsewhere may give its own name this machine's address (DNS rebinding).
            raise RefusedError(
                421, f"this server accepts requests to this machine only, not to {name}."
            )
        if origin != host:
            raise RefusedError(403, "pages from other sites may not use this server.")
        known = ADDRESSES.get("GET" if method == "HEAD" else method, set())
        if path in known or (method in ("GET", "HEAD") and self._is_file(path)):
            return
        if any(path in paths for paths in ADDRESSES.values()):
            other = "POST" if method != "POST" else "GET"
            raise RefusedError(405, f"{path} accepts {other}, not {method}.")
        raise RefusedError(404, "not found; the page is at /, predictions are at /predict.")

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
    """Sends the reason as json and closes the connection."""
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

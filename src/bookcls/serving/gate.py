"""What is let in: which addresses, from whose pages, how large, how slowly."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
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


class RefusedError(Exception):
    """A request that is not answered; its words go to whoever sent it."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Gate:
    """An ASGI application before another one, which gets small requests, whole or not at all."""

    def __init__(
        self, app: App, uploads: Path, *, local: bool, max_bytes: int, timeout: float, at_once: int
    ) -> None:
        """Stands before an application.

        Args:
            app: The application.
            uploads: The only folder of which files are served.
            local: Whether only names of this machine count as its address: elsewhere on the
                network it may have any.
            max_bytes: Bytes that a request may have.
            timeout: Seconds in which it must be there.
            at_once: Requests that may be on their way at the same time, each of them in memory.
        """
        self.app, self.uploads, self.local = app, uploads.resolve(), local
        self.max_bytes, self.timeout, self.at_once = max_bytes, timeout, at_once
        self.arriving = 0

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
                receive = await self._whole(receive, headers)
        except RefusedError as refusal:
            await refuse(guarded, refusal)
        except ConnectionError:
            return
        else:
            await self.app(scope, receive, guarded)

    def _check(self, method: str, path: str, headers: dict[str, str]) -> None:
        host = headers.get("host", "")
        name = urlsplit(f"//{host}").hostname or ""
        if self.local and name not in ("localhost", "127.0.0.1", "::1"):
            # A page elsewhere may give its own name this machine's address (DNS rebinding).
            raise RefusedError(421, f"this server is for this machine alone, not {name}.")
        if (origin := headers.get("origin")) and urlsplit(origin).netloc != host:
            raise RefusedError(403, f"a page from {origin} may not ask this server.")
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

    async def _whole(self, receive: Receive, headers: dict[str, str]) -> Receive:
        """Waits for the whole body, and gives it back in one piece."""
        size = headers.get("content-length", "")
        if not size.isdecimal():
            raise RefusedError(411, "say how many bytes come (Content-Length).")
        too_large = int(size) > self.max_bytes
        if too_large and "expect" in headers:
            raise self._too_large(int(size))
        if self.arriving >= self.at_once:
            raise RefusedError(503, "too many photos are on their way; try again in some seconds.")
        self.arriving += 1
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self.timeout):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ConnectionError
                    more = message.get("more_body", False)
                    if not too_large:
                        parts.append(message.get("body", b""))
        except TimeoutError as error:
            raise RefusedError(
                408, f"the photo did not come within {self.timeout:g} seconds."
            ) from error
        finally:
            self.arriving -= 1
        if too_large:  # Only now: most programs read no answer before they have sent everything.
            raise self._too_large(int(size))
        body: Message | None = {"type": "http.request", "body": b"".join(parts)}

        async def again() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            message, body = body, None
            return message

        return again

    def _too_large(self, size: int) -> RefusedError:
        return RefusedError(
            413,
            f"{size / 1e6:.1f} MB; the limit is {self.max_bytes / 1e6:g} (max_mb): send less.",
        )


async def refuse(send: Send, refusal: RefusedError) -> None:
    """Says why, as json, and ends the connection."""
    body = json.dumps({"error": str(refusal)}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""Passes on only complete requests of limited size, to a name of this server."""

import os
import sys
import traceback
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bookcls.serving.body import Bodies, check_length
from bookcls.serving.hosts import check_host, find_group
from bookcls.serving.refusals import RefusedError, refuse

HEADERS = {
    # The page loads its own style and script; nothing is inline, nothing comes from elsewhere,
    # and no other page may frame it.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
INTERNAL = "internal error; the terminal where the server runs says more."


class Gate:
    """ASGI middleware in front of the application."""

    def __init__(
        self, app: ASGIApp, bodies: Bodies, limits: Mapping[str, int], names: frozenset[str]
    ) -> None:
        """Wraps an application.

        Args:
            app: The application.
            bodies: Reads the request bodies.
            limits: Path -> maximum size of what is posted there; nothing else is kept.
            names: Host names accepted in requests.
        """
        self.app, self.bodies, self.limits, self.names = app, bodies, limits, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on or refuses a request."""
        if scope["type"] != "http":
            return
        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                extra = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *extra]}
            await send(message)

        try:
            body = await self._check(scope, receive)
            await self.app(scope, again(body, receive), guarded)
        except RefusedError as refusal:
            await refuse(guarded, refusal)
        except ConnectionError:
            return
        except Exception as error:
            report(scope, error)
            if not started:
                await refuse(guarded, RefusedError(500, INTERNAL))

    async def _check(self, scope: Scope, receive: Receive) -> bytearray:
        """Checks the headers and reads the body.

        Raises:
            RefusedError: If the request is refused.
            ConnectionError: If the client has disconnected.
        """
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        limit = self.limits.get(scope["path"]) if scope["method"] == "POST" else None
        try:
            if "transfer-encoding" in headers and (
                "content-length" in headers or scope["http_version"] == "1.0"
            ):
                # Two readers would see two requests.
                raise RefusedError(
                    400, "Content-Length and Transfer-Encoding contradict each other: send one."
                )
            check_host(headers, self.names, scope["server"][0])
            if limit is not None:
                check_length(headers, limit)
                return await self.bodies.read(receive, limit, find_group(scope["client"][0]))
        except RefusedError as refusal:
            if "expect" not in headers and refusal.status not in (408, 503):
                await self.bodies.discard(receive)
            raise
        if not await self.bodies.discard(receive):
            raise RefusedError(408, "the request is too large, or did not arrive in time.")
        return bytearray()


def again(body: bytearray, receive: Receive) -> Receive:
    """ASGI's receive for a body that has been read."""
    left: list[Message] = [{"type": "http.request", "body": body}]

    async def receive_again() -> Message:
        return left.pop() if left else await receive()

    return receive_again


def report(scope: Scope, error: Exception) -> None:
    """Prints an error of the server itself: one line, or more with BOOKCLS_TRACEBACK=1."""
    name = f"{type(error).__name__}: {error}"
    asked = ascii(f"{scope['method']} {scope['path']}"[:100])
    print(f"error    in answer to {asked}: {' '.join(name.split())}", file=sys.stderr, flush=True)
    if os.environ.get("BOOKCLS_TRACEBACK") == "1":
        traceback.print_exception(error)

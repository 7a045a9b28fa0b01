"""Refused requests: a status, and a sentence that is sent to the client as json."""

import json
from typing import Any

from starlette.responses import Response
from starlette.types import Send

RETRY = {"Retry-After": "5"}


class RefusedError(Exception):
    """A refused request; its message is sent to the client."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def as_json(status: int, value: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """A json response in plain ASCII, because a class name may not be valid UTF-8."""
    return Response(json.dumps(value), status, headers, media_type="application/json")


async def refuse(send: Send, refusal: RefusedError) -> None:
    """Sends the reason and closes the connection."""
    body = json.dumps({"error": str(refusal)}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if refusal.status == 503:
        headers.append((b"retry-after", RETRY["Retry-After"].encode()))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

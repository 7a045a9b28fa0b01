"""Reads complete request bodies, with limits on size, time and number."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_STORED = 40
"""Capacity of the upload folder, in photos of the maximum size."""


class RefusedError(Exception):
    """A refused request; its message is sent to the client."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Bodies:
    """Reads request bodies."""

    def __init__(self, uploads: Path, *, max_bytes: int, timeout: float, at_once: int) -> None:
        """Sets the limits.

        Args:
            uploads: The folder where photos are kept temporarily.
            max_bytes: Maximum size of a body.
            timeout: Maximum time to receive a body, in seconds.
            at_once: Maximum number of bodies received at the same time, all in memory.
        """
        self.uploads, self.max_bytes, self.timeout = uploads, max_bytes, timeout
        self.at_once, self.arriving = at_once, 0

    async def read(self, receive: Receive, headers: dict[str, str]) -> Receive:
        """Waits for the whole body, and returns it in one piece.

        Raises:
            RefusedError: If it is too large or too slow, or there are too many.
            ConnectionError: If the client has disconnected.
        """
        refusal = self._refusal(headers.get("content-length", ""))
        if refusal is not None and "expect" in headers:
            raise refusal
        if self.arriving >= self.at_once or self._stored_bytes() > MAX_STORED * self.max_bytes:
            raise RefusedError(503, "too many photos are being sent; try again in a few seconds.")
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
                    if refusal is None:
                        parts.append(message.get("body", b""))
        except TimeoutError as error:
            raise RefusedError(
                408, f"the photo did not arrive within {self.timeout:g} seconds."
            ) from error
        finally:
            self.arriving -= 1
        if (
            refusal is not None
        ):  # Only now: most clients read no response before they have sent everything.
            raise refusal
        body: Message | None = {"type": "http.request", "body": b"".join(parts)}

        async def again() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            message, body = body, None
            return message

        return again

    def _stored_bytes(self) -> int:
        """Total size of the files in the upload folder."""
        total = 0
        for path in self.uploads.rglob("*"):
            with suppress(OSError):  # Another thread may delete it.
                total += path.stat().st_size
        return total

    def _refusal(self, size: str) -> RefusedError | None:
        """The reason to refuse a body of this Content-Length, or None."""
        if not size.isdecimal():
            return RefusedError(
                411, "the header Content-Length is missing: give the number of bytes."
            )
        if int(size) <= self.max_bytes:
            return None
        return RefusedError(
            413,
            f"{int(size) / 1e6:.1f} MB; the limit is {self.max_bytes / 1e6:g} MB (max_mb): "
            "send a smaller photo.",
        )

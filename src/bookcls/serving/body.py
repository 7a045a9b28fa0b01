"""The bodies of requests: small, in time, not too many at once, whole or not at all."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HELD = 40
"""So many of the largest photos may lie in the folder of uploads, until they are old."""


class RefusedError(Exception):
    """A request that is not answered; its words go to whoever sent it."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Bodies:
    """Reads bodies."""

    def __init__(self, uploads: Path, *, max_bytes: int, timeout: float, at_once: int) -> None:
        """Starts with none.

        Args:
            uploads: The folder where photos are kept for a while.
            max_bytes: Bytes that a body may have.
            timeout: Seconds in which it must be there.
            at_once: Bodies that may be on their way at the same time, each of them in memory.
        """
        self.uploads, self.max_bytes, self.timeout = uploads, max_bytes, timeout
        self.at_once, self.arriving = at_once, 0

    async def whole(self, receive: Receive, headers: dict[str, str]) -> Receive:
        """Waits for the whole body, and gives it back in one piece.

        Raises:
            RefusedError: If it is too large or too slow, or if too many come.
            ConnectionError: If the client is gone.
        """
        refusal = self._refusal(headers.get("content-length", ""))
        if refusal is not None and "expect" in headers:
            raise refusal
        if self.arriving >= self.at_once or self._held() > HELD * self.max_bytes:
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
                    if refusal is None:
                        parts.append(message.get("body", b""))
        except TimeoutError as error:
            raise RefusedError(
                408, f"the photo did not come within {self.timeout:g} seconds."
            ) from error
        finally:
            self.arriving -= 1
        if refusal is not None:  # Only now: most programs read no answer before they have sent all.
            raise refusal
        body: Message | None = {"type": "http.request", "body": b"".join(parts)}

        async def again() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            message, body = body, None
            return message

        return again

    def _held(self) -> int:
        """Bytes that lie in the folder of uploads."""
        total = 0
        for path in self.uploads.rglob("*"):
            with suppress(OSError):  # Another thread may delete it.
                total += path.stat().st_size
        return total

    def _refusal(self, size: str) -> RefusedError | None:
        """Why a body of this Content-Length is not wanted."""
        if not size.isdecimal():
            return RefusedError(411, "say how many bytes come (Content-Length).")
        if int(size) <= self.max_bytes:
            return None
        return RefusedError(
            413,
            f"{int(size) / 1e6:.1f} MB; the limit is {self.max_bytes / 1e6:g} (max_mb): send less.",
        )

"""Reads request bodies, with limits on size, time and memory."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from starlette.types import Receive

from bookcls.serving.refusals import RefusedError

DISCARDED = 4
"""How much of a refused body is read and discarded, in photos of the maximum size."""
CROWDED = "too many photos are being sent; try again in a few seconds."


@dataclass(eq=False)
class Arriving:
    """A body of which only a part is there.

    Attributes:
        client: Who sends it.
        body: What has arrived.
        deadline: When it must be complete.
        dropped: Whether it had to make room for others.
    """

    client: str
    body: bytearray = field(default_factory=bytearray)
    deadline: asyncio.Timeout | None = None
    dropped: bool = False


class Bodies:
    """Reads request bodies.

    Attributes:
        max_bytes: Maximum size of a photo.
        timeout: Maximum time to receive a body, in seconds.
        budget: Maximum size of all bodies that are arriving.
    """

    def __init__(self, *, max_bytes: int, timeout: float, at_once: int) -> None:
        """Sets the limits.

        Args:
            max_bytes: Maximum size of a photo.
            timeout: Maximum time to receive a body, in seconds.
            at_once: Number of photos of the maximum size for which there is memory.
        """
        self.max_bytes, self.timeout = max_bytes, timeout
        self.budget = at_once * max_bytes
        self._arriving: list[Arriving] = []

    async def read(self, receive: Receive, limit: int, client: str) -> bytearray:
        """Waits for the whole body.

        Args:
            receive: ASGI's.
            limit: Maximum size in bytes.
            client: Who sends it; whoever sends most makes room first.

        Raises:
            RefusedError: If it is too large or too slow, or there are too many.
            ConnectionError: If the client has disconnected.
        """
        arriving = Arriving(client)
        self._arriving.append(arriving)
        try:
            async with asyncio.timeout(self.timeout) as arriving.deadline:
                async for part in parts(receive):
                    if len(arriving.body) + len(part) > limit:
                        raise too_large(len(arriving.body) + len(part), limit)
                    arriving.body += part
                    self._make_room()
                    if arriving.dropped:
                        raise RefusedError(503, CROWDED)
        except TimeoutError as error:
            if arriving.dropped:
                raise RefusedError(503, CROWDED) from error
            raise RefusedError(
                408, f"the photo did not arrive within {self.timeout:g} seconds."
            ) from error
        finally:
            self._arriving.remove(arriving)
        return arriving.body

    def _make_room(self) -> None:
        """Drops the oldest body of whoever sends most, while all exceed the budget."""
        while True:
            kept = [each for each in self._arriving if not each.dropped]
            sizes: Counter[str] = Counter()
            for each in kept:
                sizes[each.client] += len(each.body)
            if sizes.total() <= self.budget:
                return
            most = sizes.most_common(1)[0][0]
            oldest = next(each for each in kept if each.client == most and each.body)
            oldest.dropped = True
            oldest.body = bytearray()
            if oldest.deadline:
                with suppress(RuntimeError):  # it is expiring already
                    oldest.deadline.reschedule(asyncio.get_running_loop().time())

    async def discard(self, receive: Receive) -> bool:
        """Reads a body without keeping it: most clients read no response before they sent it all.

        Returns:
            Whether it has arrived within the limits.

        Raises:
            ConnectionError: If the client has disconnected.
        """
        seen = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(self.timeout):
                async for part in parts(receive):
                    seen += len(part)
                    if seen > DISCARDED * self.max_bytes:
                        return False
                return True
        return False


async def parts(receive: Receive) -> AsyncIterator[bytes]:
    """The parts of a body.

    Raises:
        ConnectionError: If the client has disconnected.
    """
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        more = message.get("more_body", False)
        yield message.get("body", b"")


def check_length(headers: Mapping[str, str], limit: int) -> None:
    """Checks what the headers of a request say about its body.

    Raises:
        RefusedError: If the size is missing or too large.
    """
    size = headers.get("content-length", "")
    if not size.isdecimal():
        raise RefusedError(411, "the header Content-Length is missing: give the number of bytes.")
    if int(size) > limit:
        raise too_large(int(size), limit)


def too_large(size: int, limit: int) -> RefusedError:
    """The refusal of a body that is too large."""
    if limit < 1e5:
        return RefusedError(413, f"{size / 1e3:.1f} kB; the limit here is {limit / 1e3:g} kB.")
    return RefusedError(
        413,
        f"{size / 1e6:.1f} MB; the limit is {limit / 1e6:g} MB (max_mb): send a smaller photo.",
    )

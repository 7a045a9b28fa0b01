"""Deadlines for connections, and a share of them for each client."""

import asyncio
import json
from collections import Counter
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from bookcls.serving.hosts import find_group

PATIENCE = 10.0
"""Seconds within which the headers of a request must arrive, from the connection or first byte."""
TAKEN = 30.0
"""Seconds within which a client must take what was sent to it."""
MOST = 64
"""Maximum number of connections; a browser keeps two or three open, and idle ones count too."""
SHARE = 32
"""Maximum number of connections from one address."""
RETRY = 0.1
"""Seconds after which room is made again while no connection waits for its client."""


class FairProtocol(H11Protocol):
    """HTTP in which no client occupies a connection for long, or more than its share.

    A new connection makes another one end: of the client with the most connections, the one that
    has waited for it longest. While none waits, because all are being answered, it stays in
    addition, up to ``2 * MOST`` connections.
    """

    _deadline: asyncio.TimerHandle | None = None
    _untaken: asyncio.TimerHandle | None = None
    _begun = _ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts the deadline for headers, and makes room."""
        super().connection_made(transport)  # type: ignore[arg-type]
        # pause_writing is then called whenever the client has not taken everything.
        self.transport.set_write_buffer_limits(high=0)
        self.group = find_group(self.client[0] if self.client else "")
        self.since = self.loop.time()
        self._start_deadline()
        self._make_room()

    def data_received(self, data: bytes) -> None:
        """Cancels the deadline once the headers have arrived."""
        if self._ended:
            return
        self._begun = True
        try:
            super().data_received(data)
        except h11.LocalProtocolError:  # A client that breaks the protocol in mid-response.
            self._end()
            return
        if self.conn.their_state is h11.IDLE:
            self._start_deadline()
        else:
            self._cancel_deadline()

    def on_response_complete(self) -> None:
        """Notes when the connection became idle."""
        self._begun, self.since = False, self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Starts the deadline for taking what was sent."""
        super().pause_writing()
        if self._untaken is None:
            self._untaken = self.loop.call_later(TAKEN, self.transport.abort)

    def resume_writing(self) -> None:
        """Cancels that deadline."""
        super().resume_writing()
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancels all deadlines."""
        self._ended = True
        self._cancel_deadline()
        self.resume_writing()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Ends an idle connection, or lets it end after its response."""
        if self._ended or self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Refuses what is not HTTP."""
        self._end(400, "this is not a valid HTTP request.")

    def _should_upgrade(self) -> bool:
        return False

    @property
    def _waits_for_client(self) -> bool:
        """Whether the client has to do something next: ask, send, or take what was sent."""
        asked = self.cycle is not None and not self.cycle.response_complete
        return not asked or self.cycle.more_body or self.flow.write_paused

    def _make_room(self) -> None:
        if self._ended:
            return
        others: list[FairProtocol] = [c for c in self.connections if not c._ended]  # type: ignore[union-attr, misc]
        counts = Counter(each.group for each in others)
        if counts[self.group] > SHARE:
            crowd = self.group
        elif len(others) > MOST:
            crowd = counts.most_common(1)[0][0]
        else:
            return
        waiting = [c for c in others if c.group == crowd and c is not self and c._waits_for_client]
        if not waiting and len(others) <= 2 * MOST:
            self.loop.call_later(RETRY, self._make_room)
            return
        ended = min(waiting, key=lambda each: each.since, default=self)
        ended._end(503, "too many connections are open; try again in a few seconds.")

    def _start_deadline(self) -> None:
        if self._deadline is None:
            why = f"the headers did not arrive within {PATIENCE:g} seconds."
            self._deadline = self.loop.call_later(PATIENCE, self._end, 408, why)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self, status: int = 0, why: str = "") -> None:
        """Closes the connection; gives the reason where a request has begun without a response."""
        self._ended = True
        self._cancel_deadline()
        if self.cycle is not None:
            self.cycle.disconnected = True
        if self.transport.get_write_buffer_size():
            self.transport.abort()
            return
        if status and self._begun and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps({"error": why}).encode()
            headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
            headers += [("connection", "close")] + [("retry-after", "5")] * (status == 503)
            reason = HTTPStatus(status).phrase.encode()
            events = (
                h11.Response(status_code=status, headers=headers, reason=reason),
                h11.Data(data=body),
                h11.EndOfMessage(),
            )
            self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))
        self.transport.close()

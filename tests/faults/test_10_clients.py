"""Promise 10: no client shuts out the others, sees more than it should, or ends the server.

Every attack goes over the wire, against a server in a process of its own.
"""

import http.client
import io
import json
import os
import random
import re
import signal
import socket
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torchvision
from PIL import Image

from bookcls import runs, serve
from bookcls.data.images import ImageError
from bookcls.training.classifier import Classifier
from conftest import NARROW, draw
from victims import Victim, needs_fork, sizes, verb

pytest.importorskip("starlette")

from bookcls.serving import connections, decoding
from bookcls.serving.decoder import Decoder

pytestmark = [needs_fork]

CLASSES = ["blue", "red"]
POST = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Server:
    """A victim that serves, and requests to it."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        words = ("port=0", "max_mb=1", "timeout=4", *words)
        start = verb(serve.main, f"ckpt={folder / 'run'}", *words, cwd=folder, before=self.prepare)
        (folder / "log").touch()
        self.victim = Victim(start, folder / "log")
        limit = time.monotonic() + 120
        while "Ctrl+C" not in (said := self.victim.said):
            if time.monotonic() > limit or os.waitpid(self.victim.pid, os.WNOHANG)[0]:
                raise AssertionError(said)
            time.sleep(0.05)
        self.port = int(re.search(r"http://[\d.]+:(\d+)", said)[1])
        self.greeting = said
        self.idle_sockets = 0
        self.ask("GET", "/health")
        time.sleep(0.5)
        self.idle_sockets = self.connections

    def prepare(self) -> None:
        torchvision.models.vgg.cfgs["D"] = NARROW
        connections.PATIENCE, connections.TAKEN = 4, 4
        tempfile.tempdir = str(self.temporary)

    def connect(self, source: str = "127.0.0.1", seconds: float = 60) -> socket.socket:
        address = ("127.0.0.1", self.port)
        return socket.create_connection(address, seconds, source_address=(source, 0))

    def ask(self, method, path, body=None, **headers):
        """Status, value if it is json, and text."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read().decode()
            plain = "json" in response.headers["content-type"]
            return response.status, json.loads(text) if plain else None, text

    def raw(self, sent: bytes) -> tuple[int, bytes]:
        """Status of the first response to these bytes, and all that comes."""
        with self.connect() as client:
            client.sendall(sent)
            said = read_all(client)
        return int(said.split(b" ", 2)[1]) if said else 0, said

    @property
    def decoders(self) -> list[int]:
        """The processes that it has started to decode photos."""
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(status.read_text().rsplit(")", 1)[1].split()[1])
                command = status.with_name("cmdline").read_text()
            except OSError:
                continue
            if parent == self.victim.pid and "spawn_main" in command:
                found.append(int(status.parent.name))
        return found

    @property
    def connections(self) -> int:
        """How many connections it has open now."""
        sockets = 0
        for file in Path(f"/proc/{self.victim.pid}/fd").iterdir():
            try:
                sockets += file.readlink().name.startswith("socket:")
            except OSError:
                continue
        return sockets - self.idle_sockets

    @property
    def megabytes(self) -> float:
        pages = int(Path(f"/proc/{self.victim.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def assert_quiet(self) -> None:
        """It has said nothing since it started."""
        assert self.victim.said == self.greeting


def read_all(client: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    said = b""
    try:
        while part := client.recv(65536):
            said += part
    except ConnectionResetError:
        pass
    return said


def make_run(folder: Path) -> Path:
    torch.manual_seed(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(torchvision.models.vgg.cfgs, "D", NARROW)
        classifier = Classifier(CLASSES, image_size=32)
    (folder / "run").mkdir()
    parts = {"hyper_parameters": dict(classifier.hparams), "state_dict": classifier.state_dict()}
    torch.save(parts, folder / "run" / runs.BEST)
    return folder


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("photo") / "photo.jpg", (40, 60, 220), 1).read_bytes()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(make_run(tmp_path_factory.mktemp("server")))
    yield server
    server.victim.kill(signal.SIGKILL)
    server.victim.wait()


# 1. How large a request is.


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: +5\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
    ],
)
def test_a_body_of_two_sizes_is_refused(server, headers):
    for start in (POST, POST.replace(b"/predict", b"/health"), POST.replace(b"POST", b"GET")):
        status, said = server.raw(start + headers + b"\r\n0\r\n\r\n" + GET)
        assert status == 400
        assert b'{"error": ' in said
        assert said.count(b"HTTP/1.1") == 1  # What follows is no second request.
    assert server.raw(b"POST /predict HTTP/1.0\r\n" + headers + b"\r\n0\r\n\r\n")[0] == 400
    server.assert_quiet()


def chunks(megabytes):
    yield from [bytes(100_000)] * (10 * megabytes)


def test_what_is_too_large_is_refused_and_not_kept(server, photo):
    server.ask("POST", "/predict", photo)
    before = server.megabytes
    for _ in range(10):
        for path in ("/predict", "/explain", "/example", "/health", "/nowhere"):
            status, value, _ = server.ask("POST", path, chunks(3))
            assert (status, list(value)) == (411 if path[1] in "pe" else status, ["error"])
        assert server.ask("POST", "/predict", bytes(3_000_000))[0] == 413
        assert server.ask("POST", "/example", bytes(3_000))[0] == 413
    assert server.megabytes < before + 30
    assert server.ask("POST", "/predict", photo)[0] == 200


# 2. Slow clients.


def do_not_read(server, client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.sendall(200 * GET)


def send_half(server, client):
    client.sendall(POST + b"Content-Length: 99\r\n\r\nhalf")


def send_nearly_all(server, client):
    client.sendall(POST + b"Content-Length: 1000000\r\n\r\n" + bytes(999_999))


def send_half_headers(server, client):
    client.sendall(POST)


def say_nothing(server, client):
    pass


@pytest.mark.parametrize("number_of_sources", [1, 40])
@pytest.mark.parametrize(
    ("attack", "number"),
    [
        (do_not_read, 63),
        (send_half, 9),
        (send_half, 64),
        (send_nearly_all, 64),
        (send_half_headers, 64),
        (say_nothing, 64),
        (say_nothing, 200),
    ],
)
def test_a_slow_client_delays_nobody(server, photo, attack, number, number_of_sources):
    with ExitStack() as stack:
        for i in range(number):
            try:
                client = stack.enter_context(server.connect(f"127.0.0.{i % number_of_sources + 1}"))
                attack(server, client)
            except OSError:  # It had to make room.
                pass
        for path in ("/predict", "/explain") * 4:
            began = time.monotonic()
            status, _, text = server.ask("POST", path, photo)
            assert status == 200, text
            assert time.monotonic() - began < 10
        assert server.megabytes < 2500
        # Each has had its time by then, whether it reads or not.
        limit = time.monotonic() + 30
        while server.connections and time.monotonic() < limit:
            time.sleep(0.1)
        assert not server.connections
    server.assert_quiet()


class Timer:
    """An event loop, as far as it calls back later."""

    def __init__(self):
        self.due = []

    def call_later(self, _, call):
        self.due.append(call)


def test_a_new_connection_stays_while_all_others_are_being_answered(monkeypatch):
    ended = []
    monkeypatch.setattr(connections.FairProtocol, "_end", lambda self, *_: ended.append(self))
    everyone, loop = [], Timer()
    for number in range(2 * connections.MOST + 1):
        one = connections.FairProtocol.__new__(connections.FairProtocol)
        one.connections, one.group, one.since, one.loop = everyone, "one address", number, loop
        one.cycle = SimpleNamespace(response_complete=False, more_body=False)
        one.flow = SimpleNamespace(write_paused=False)
        everyone.append(one)
        if number < connections.SHARE:
            continue
        one._make_room()
        if number == connections.SHARE:
            assert not ended
            everyone[3].cycle.response_complete = True
            loop.due.pop()()
            assert ended == [everyone[3]], "it has waited for its client since it was answered"
            everyone[3].cycle.response_complete = False
    assert ended[1:] == [everyone[-1]], "there is an end to it"


def test_who_is_slow_is_told_why(server):
    for start, why in [
        (POST, "the headers did not arrive within 4 seconds."),
        (POST + b"Content-Length: 9\r\n\r\nhalf", "the photo did not arrive within 4 seconds."),
    ]:
        status, said = server.raw(start)
        assert status == 408
        assert json.loads(said.partition(b"\r\n\r\n")[2]) == {"error": why}


# 3. What a client is told.


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /predict HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"ODD /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01 not http\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + bytes(100_000), 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 100_000, 400),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n", 403),
        (POST + b"\r\n", 411),
        (POST + b"Content-Length: 2000000\r\nExpect: 100-continue\r\n\r\n", 413),
        (POST + b"Content-Type: multipart/form-data\r\nContent-Length: 1\r\n\r\nx", 415),
        (POST + b"Content-Length: 1\r\n\r\nx", 400),
        (POST + b"Content-Length: 0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nnot a chunk\r\n", 400),
        (POST.replace(b"/predict", b"/explain") + b"Content-Length: 1\r\n\r\nx", 400),
        (POST.replace(b"/predict", b"/example") + b"Content-Length: 1\r\n\r\n9", 404),
    ],
)
def test_every_refusal_is_json(server, sent, status):
    with server.connect() as client:
        client.sendall(sent)
        client.settimeout(30)
        response = http.client.HTTPResponse(client)
        response.begin()
        value = json.loads(response.read())
    assert response.status == status
    assert response.headers["content-type"] == "application/json"
    assert value["error"]
    assert not re.search(r"(?<![\w.])/(?!predict|health|explain|example)\w", value["error"]), value
    server.assert_quiet()


def test_an_upgrade_is_not_followed(server):
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert server.raw(GET.removesuffix(b"\r\n") + upgrade)[0] in (200, 400)
    server.assert_quiet()


@sizes("tries", 60, 3000)
def test_garbage_is_survived_in_silence(server, photo, tries):
    rng = random.Random(tries)
    whole = POST + b"Content-Length: %d\r\n\r\n" % len(photo) + photo
    seeds = [
        GET,
        whole,
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        3 * GET,
    ]
    for _ in range(tries):
        sent = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(6)):
            place = rng.randrange(min(len(sent), 200))
            if rng.random() < 0.5:
                sent[place] = rng.randrange(256)
            else:
                sent[place : place + rng.randrange(4)] = rng.randbytes(rng.randrange(4))
        with server.connect(seconds=0.05) as client:
            client.sendall(sent[: rng.randrange(len(sent)) if rng.random() < 0.2 else None])
            try:
                said = client.recv(65536)
            except (TimeoutError, ConnectionResetError):
                continue
        assert b"Traceback" not in said
        if re.match(rb"HTTP/1.1 [45]", said):
            assert b"content-type: application/json" in said
    assert server.ask("POST", "/predict", photo)[0] == 200
    server.assert_quiet()


# 4. Names.


def test_only_names_of_the_server_are_accepted(tmp_path):
    server = Server(make_run(tmp_path), "host=0.0.0.0", "hosts=[Desk.local]")
    try:
        for host, status in [
            ("localhost", 200), ("127.0.0.1:80", 200), ("desk.local", 200), ("DESK.LOCAL:1", 200),
            ("evil.example", 421), ("desk.local.evil.example", 421), ("0.0.0.0", 421),
            ("192.0.2.1", 421), ("127.0.0.2", 421),
        ]:  # fmt: skip
            assert server.ask("GET", "/health", Host=host)[0] == status, host
        assert (
            "not accept requests to evil.example" in server.ask("GET", "/", Host="evil.example")[2]
        )
        if sys.platform == "linux":  # Another address of this machine, by which it is reached.
            with closing(http.client.HTTPConnection("127.0.0.2", server.port)) as connection:
                connection.request("GET", "/health")
                assert connection.getresponse().status == 200
    finally:
        server.victim.kill(signal.SIGKILL)
        server.victim.wait()


# 5. Photos against the decoder.


def many_scans() -> bytes:
    """A progressive JPEG that repeats its last scan: 890 kB to send, three minutes to decode."""
    out = io.BytesIO()
    Image.new("L", (8000, 8000), 90).save(out, "JPEG", progressive=True, quality=30)
    whole = out.getvalue().removesuffix(b"\xff\xd9")
    last = whole[whole.rindex(b"\xff\xda") :]
    return whole + last * ((890_000 - len(whole)) // len(last)) + b"\xff\xd9"


def many_pixels() -> bytes:
    """A PNG of 196 megapixels with transparency: 190 kB to send, 2.4 GB to decode."""
    out = io.BytesIO()
    Image.new("RGBA", (14_000, 14_000)).save(out, "PNG", compress_level=9)
    return out.getvalue()


def test_a_photo_that_takes_too_long_is_refused(server, photo):
    began = time.monotonic()
    status, value, _ = server.ask("POST", "/predict", many_scans())
    assert (status, value["answer"]) == (400, None)
    assert value["error"]
    assert time.monotonic() - began < 40
    assert server.ask("POST", "/predict", photo)[0] == 200
    server.assert_quiet()


@pytest.mark.parametrize(
    ("limit", "value", "said", "picture"),
    [
        ("SECONDS", 0.03, "not decoded", Image.effect_noise((4000, 4000), 40)),
        # A small file: what takes too much must be its pixels, not what is received.
        ("MEMORY", 20_000_000, "not decoded|not fit into memory", Image.new("L", (4000, 4000))),
    ],
    ids=["time", "memory"],
)
def test_a_photo_beyond_a_limit_ends_no_more_than_the_decoder(
    photo, monkeypatch, limit, value, said, picture
):
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)
    monkeypatch.setattr(decoding, limit, value)
    decoder = Decoder("letterbox")
    monkeypatch.undo()
    try:
        with pytest.raises(ImageError, match=said):
            decoder.decode(out.getvalue(), [32])
        assert decoder.decode(photo, [32, 64]).squares[1].shape == (64, 64, 3)
    finally:
        decoder.close()


@pytest.mark.slow
def test_a_photo_that_takes_too_much_memory_is_refused(server, photo):
    status, value, _ = server.ask("POST", "/predict", many_pixels())
    assert status == 400
    assert re.search("not fit into memory|not decoded", value["error"])
    assert server.megabytes < 2000
    assert server.ask("POST", "/predict", photo)[0] == 200


def test_a_decoder_that_dies_is_replaced(server, photo):
    for _ in range(3):
        (decoder,) = server.decoders
        os.kill(decoder, signal.SIGKILL)
        began = time.monotonic()
        assert server.ask("POST", "/predict", photo)[0] == 200
        assert time.monotonic() - began < 20
    server.assert_quiet()


def test_a_killed_server_leaves_nothing(tmp_path, photo):
    server = Server(make_run(tmp_path))
    assert server.ask("POST", "/predict", photo)[0] == 200
    decoders = server.decoders
    server.victim.kill(signal.SIGKILL)
    server.victim.wait()
    assert not list(server.temporary.iterdir())
    limit = time.monotonic() + 20
    for decoder in decoders:
        while Path(f"/proc/{decoder}").exists() and time.monotonic() < limit:
            time.sleep(0.05)
        assert not Path(f"/proc/{decoder}").exists()

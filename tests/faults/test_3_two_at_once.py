"""Promise 3: two at once do not mix. See also test_sweep.py: a job that another process runs."""

import hashlib
import os
import random
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from bookcls import fetch, train
from bookcls.models import download
from conftest import TINY
from test_fetch import check_dataset, upstream  # noqa: F401 - a fixture
from victims import Victim, at_epoch, die, needs_fork, outcome, save_always, sizes, verb, warm

pytestmark = [needs_fork, pytest.mark.usefixtures("narrow")]

BUSY = ("another process is writing", "belongs to another run", "this run is finished")


def both(tmp_path, work, rng):
    """Starts two processes, one after a moment; returns those that came to an end, and others."""
    victims = []
    for number in range(2):
        victims.append(Victim(work, tmp_path / f"log{number}"))
        time.sleep(rng.choice((0, 0.01, 0.1, 0.5)))
    codes = [victim.wait() for victim in victims]
    for code, victim in zip(codes, victims, strict=True):
        assert code in (0, 1), victim.said
        assert "Traceback" not in victim.said, victim.said
    ended = [v for v, code in zip(victims, codes, strict=True) if code == 0]
    return ended, [v for v in victims if v not in ended]


@sizes("tries", 2, 20)
def test_one_run_folder(shared_photos, tmp_path, tries):
    warm()
    words = (f"data.root={shared_photos}", *TINY)
    alone = verb(train.main, *words, f"hydra.run.dir={tmp_path / 'alone'}", cwd=tmp_path)
    assert Victim(alone, tmp_path / "log").wait() == 0
    expected = outcome(tmp_path / "alone")
    rng = random.Random(tries)
    for number in range(tries):
        run = tmp_path / f"run{number}"
        new = (*words, f"hydra.run.dir={run}")
        work = verb(train.main, *new, cwd=tmp_path)
        if number % 2:

            def stop():
                save_always()
                at_epoch(1, die)

            Victim(verb(train.main, *new, cwd=tmp_path, before=stop), tmp_path / "log").wait()
            work = verb(train.main, f"resume={run}", cwd=tmp_path)
        ended, refused = both(tmp_path, work, rng)
        assert len(ended) == len(refused) == 1
        assert any(said in refused[0].last_line for said in BUSY), refused[0].said
        assert outcome(run) == expected
        assert not [p.name for p in run.iterdir() if p.name.startswith(".")]


@sizes("tries", 2, 20)
def test_one_fetch(upstream, tmp_path, tries):  # noqa: F811
    rng = random.Random(tries)
    for number in range(tries):
        books = tmp_path / f"{number}" / "books"
        words = (f"source={upstream}", f"manifest={upstream}/manifest.csv", f"output={books}",
                 "size=64", "jobs=2")  # fmt: skip
        ended, refused = both(tmp_path, verb(fetch.main, *words, cwd=tmp_path), rng)
        assert ended
        assert all(BUSY[0] in victim.last_line for victim in refused), [v.said for v in refused]
        check_dataset(books)
        assert [p.name for p in books.parent.iterdir()] == ["books"], "no litter"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *args):
        pass


@sizes("tries", 2, 20)
def test_one_cache(tmp_path, tries, monkeypatch):
    """Two processes download the same weights to the same place."""
    content = os.urandom(3_000_000)
    digest = hashlib.sha256(content).hexdigest()
    name = f"vgg16-{digest[:8]}.pth"
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / name).write_bytes(content)
    monkeypatch.setenv("no_proxy", "*")
    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{name}"
        rng = random.Random(tries)
        for number in range(tries):
            hub = tmp_path / f"hub{number}"
            path = hub / "checkpoints" / name

            def work(path=path):
                said = download.download(url, path, f"sha256:{digest}")
                assert not said, said
                assert hashlib.sha256(path.read_bytes()).hexdigest() == digest

            ended, refused = both(tmp_path, work, rng)
            assert len(ended) == 2, refused[0].said
            assert [p.name for p in path.parent.iterdir()] == [name]
        server.shutdown()

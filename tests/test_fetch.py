import _thread
import csv
import os
import re
import shutil
import socket
import stat
import subprocess
import threading
from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from bookcls import fetch
from bookcls.data.dataset import read_folder
from bookcls.errors import BookclsError
from bookcls.fetching import download, manifest
from bookcls.fetching.manifest import blob_sha1
from bookcls.fetching.settings import FetchConfig
from conftest import draw

CLASSES = ("background", "bayes", "geeks", "keras", "nlp", "technium")
PHOTOS = [
    *(f"dataset/train/{name}/img_{i}.jpg" for name in CLASSES for i in range(2)),
    "dataset/test/img_1873.jpg",
    "dataset/test/img_1877.jpg",
    "dataset/test_difficult/img_5490.jpg",
    "dataset/test_difficult/img_5496.jpg",
]
FILES = ["LICENSE", *PHOTOS]
EXTRA = "dataset/automl_train_extra/bayes/img_0.jpg"


def write_manifest(root: Path, rows) -> Path:
    path = root / "manifest.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "git_blob_sha1"), *rows])
    return path


def hashes(root: Path, paths=(*FILES, EXTRA)) -> list[tuple[str, str]]:
    return [(path, blob_sha1((root / path).read_bytes())) for path in paths]


@pytest.fixture
def upstream(tmp_path):
    """A small repository of upstream's layout, with its manifest."""
    root = tmp_path / "upstream"
    for seed, path in enumerate([*PHOTOS, EXTRA]):
        draw(root / path, (90, 40 + 9 * seed, 120), seed, (160, 120))
    (root / "LICENSE").write_text("MIT")
    write_manifest(root, hashes(root))
    return root


class Mirror(SimpleHTTPRequestHandler):
    """Serves a folder; ``faults`` holds, for a path, what to answer the next times instead."""

    requests: list[str]
    faults: dict[str, list]
    closing: threading.Event

    def log_message(self, *args):
        pass

    def do_GET(self):
        path = self.path.lstrip("/")
        self.requests.append(path)
        fault = (self.faults.get(path) or [None]).pop(0)
        if fault == "interrupt":  # The user presses Ctrl+C.
            _thread.interrupt_main()
            self.closing.wait(0.3)
        elif fault == "silent":
            self.closing.wait(5)
        elif isinstance(fault, int):
            self.send_error(fault)
        elif fault:
            body = Path(self.directory, path).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:-9] if fault == "truncated" else body[:-1] + b"?")
        else:
            super().do_GET()


@pytest.fixture
def mirror(upstream, monkeypatch):
    """The repository behind an address, at ``mirror.url``."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "RETRIES", 1)
    now = {"root": upstream, "requests": [], "faults": {}, "closing": threading.Event()}
    handler = type("Handler", (Mirror,), now)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=upstream)) as server:
        server.daemon_threads = True
        handler.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield handler
        handler.closing.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def run_fetch(upstream, tmp_path, capsys):
    """Fetches into ``books`` of the test's folder; returns what is printed, and the error."""

    def run(address, *, size=64, output=tmp_path / "books", jobs=2) -> tuple[str, str]:
        own = str(upstream / "manifest.csv")
        config = FetchConfig(str(address), own, str(output), size, jobs)
        error = ""
        try:
            fetch.fetch(config, tmp_path)
        except BookclsError as caught:
            error = str(caught)
        return capsys.readouterr().out, error

    return run


def check_dataset(books: Path) -> None:
    folder = read_folder(books)
    assert folder.class_names == list(CLASSES)
    assert Counter(s.label for s in folder.train) == dict.fromkeys(range(6), 2)
    assert {name: [s.name for s in t] for name, t in folder.tests.items()} == {
        "easy": ["img_1873.jpg", "img_1877.jpg"],
        "difficult": ["img_5490.jpg", "img_5496.jpg"],
    }
    first, second = folder.tests["difficult"]
    assert (first.label, first.accepted) == (-1, (1, 2, 3, 4, 5))
    assert (second.label, second.accepted) == (0, (0,))
    assert not list(books.rglob("*automl*"))
    assert not books.with_name("books.partial").exists()
    assert {p.name for p in books.iterdir()} == {
        *("LICENSE", "SOURCE.md", "fetched.json", "train", "test_easy", "test_difficult")
    }


def umask() -> int:
    os.umask(current := os.umask(0))
    return current


def test_a_mirror_becomes_a_dataset(mirror, run_fetch, tmp_path):
    out, err = run_fetch(mirror.url + "/")
    assert err == ""
    assert "Daisuke Niizumi" in out
    assert "automl_train_extra/ is left out" in out
    assert sorted(mirror.requests) == sorted(FILES)
    books = tmp_path / "books"
    check_dataset(books)
    assert (books / "LICENSE").read_text() == "MIT"
    source_md = (books / "SOURCE.md").read_text()
    assert "small_book_image_dataset" in source_md
    assert "long side of 64 px" in source_md
    assert stat.S_IMODE((books / "LICENSE").stat().st_mode) == 0o666 & ~umask(), "others may read"
    for path in books.rglob("*.jpg"):
        with Image.open(path) as image:
            assert image.size == (64, 48)
    assert {p.name for p in tmp_path.iterdir()} == {"books", "upstream"}, "no litter"


def test_a_second_call_does_nothing(mirror, run_fetch, tmp_path):
    run_fetch(mirror.url)
    mirror.requests.clear()
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "books").rglob("*")}
    out, err = run_fetch(mirror.url)
    assert err == ""
    assert "is complete: nothing to do" in out
    assert mirror.requests == []
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "books").rglob("*")}


def test_a_local_folder_becomes_a_dataset_of_full_size(upstream, run_fetch, tmp_path):
    assert run_fetch(upstream, size="full")[1] == ""
    check_dataset(tmp_path / "books")
    for path in PHOTOS:
        stored = path.removeprefix("dataset/").replace("test/", "test_easy/")
        assert (tmp_path / "books" / stored).read_bytes() == (upstream / path).read_bytes()


def test_an_interrupted_fetch_goes_on(mirror, run_fetch, tmp_path):
    mirror.faults = {PHOTOS[5]: ["interrupt"]}
    _, err = run_fetch(mirror.url)
    partial = tmp_path / "books.partial"
    kept = {str(p.relative_to(partial)) for p in partial.rglob("*") if p.is_file()}
    kept.remove("fetched.json")
    assert 5 <= len(kept) <= 8
    assert f"interrupted. {len(kept)} of 17 files are in {partial}; run the" in err
    assert not (tmp_path / "books").exists()
    for name in (".LICENSE.77", "train/tmp12_ab3cd", "train/.tmp12_ab3cd.77"):
        (partial / name).touch()  # as a killed process leaves them

    mirror.requests.clear()
    assert run_fetch(mirror.url)[1] == ""
    fetched = {p.removeprefix("dataset/").replace("test/", "test_easy/") for p in mirror.requests}
    assert len(mirror.requests) == 17 - len(kept)
    assert not fetched & kept
    check_dataset(tmp_path / "books")
    assert not [p for p in (tmp_path / "books").rglob("*") if "tmp" in p.name or p.name[0] == "."]


def test_lost_and_damaged_files_are_fetched_again(mirror, run_fetch, tmp_path):
    run_fetch(mirror.url)
    (tmp_path / "books" / "train" / "nlp" / "img_0.jpg").unlink()
    (tmp_path / "books" / "test_easy" / "img_1877.jpg").write_bytes(b"damaged")
    (tmp_path / "books" / "test_easy" / "labels.csv").unlink()
    mirror.requests.clear()
    assert run_fetch(mirror.url)[1] == ""
    assert sorted(mirror.requests) == ["dataset/test/img_1877.jpg", "dataset/train/nlp/img_0.jpg"]
    check_dataset(tmp_path / "books")


def test_passing_faults_are_tried_again(mirror, run_fetch, tmp_path):
    mirror.faults = dict(zip(PHOTOS, (["truncated"], ["wrong"], [429], [503]), strict=False))
    assert run_fetch(mirror.url, jobs=8)[1] == ""
    assert len(mirror.requests) == 17 + 4
    check_dataset(tmp_path / "books")


def test_lasting_faults_are_named(mirror, run_fetch, tmp_path):
    mirror.faults = {
        path: [fault] * 9
        for path, fault in zip(PHOTOS, ("truncated", "wrong", 404, 503), strict=False)
    }
    _, err = run_fetch(mirror.url, jobs=8)
    assert "4 file(s) could not be fetched" in err
    assert re.search(f"- {PHOTOS[0]}: .*IncompleteRead", err)
    expected = dict(hashes(mirror.root))[PHOTOS[1]]
    assert f"- {PHOTOS[1]}: expected git hash {expected}, got " in err
    assert f"- {PHOTOS[2]}: 404 Client Error: Not Found for url: {mirror.url}/{PHOTOS[2]}" in err
    assert f"- {PHOTOS[3]}: 503 Server Error: Service Unavailable for url: {mirror.url}" in err
    assert [Counter(mirror.requests)[path] for path in PHOTOS[:4]] == [2, 2, 2, 2]
    assert not (tmp_path / "books").exists()
    mirror.faults = {}
    mirror.requests.clear()
    assert run_fetch(mirror.url)[1] == "", "the others were kept"
    assert sorted(mirror.requests) == sorted(PHOTOS[:4])


def test_an_address_without_the_files(mirror, run_fetch):
    _, err = run_fetch(mirror.url + "/elsewhere", jobs=8)
    assert err.count("404 Client Error") == 10, "not all are tried"


def test_a_silent_server(mirror, run_fetch, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    mirror.faults = {PHOTOS[0]: ["silent"] * 9}
    _, err = run_fetch(mirror.url)
    assert "cannot be reached" in err
    assert "Read timed out" in err
    assert PHOTOS[0] in err


def test_no_network(mirror, run_fetch, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        _, err = run_fetch(f"http://{address}")
    assert f"{address} cannot be reached" in err
    assert "Connection refused" in err
    assert "tried 2 times" in err
    assert "source=DIR" in err
    assert not (tmp_path / "books").exists()


def test_a_manifest_that_climbs_out_is_refused(mirror, run_fetch, tmp_path):
    paths = [
        "../outside.jpg",
        "dataset/train/../../../outside.jpg",
        "/outside.jpg",
        "dataset/train/bayes/..\\outside.jpg",
        "C:/outside.jpg",
        "dataset/train//a.jpg",
        "dataset/train/./a.jpg",
    ]
    write_manifest(mirror.root, [*hashes(mirror.root), *((path, "0" * 40) for path in paths)])
    _, err = run_fetch(mirror.url)
    for path in paths:
        assert f"{path} could lead out of the target folder" in err
    assert mirror.requests == []
    assert {p.name for p in tmp_path.iterdir()} == {"upstream"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("dataset/train/nlp/a.jpg", "12"), "line 20: needs a path and 40 hex digits"),
        (("dataset/train/nlp/a.jpg",), "line 20: needs a path and 40 hex digits"),
        (("dataset/train/nlp/a.txt", "0" * 40), "line 20: 'dataset/train/nlp/a.txt' has no place"),
        (("README.md", "0" * 40), "line 20: 'README.md' has no place in the dataset"),
        (("dataset/train/nlp/IMG_0.JPG", "0" * 40), "IMG_0.JPG is listed twice"),
    ],
)
def test_a_malformed_manifest_is_refused(upstream, row, message):
    path = write_manifest(upstream, [*hashes(upstream), row])
    with pytest.raises(BookclsError, match=re.escape(message)):
        manifest.read_manifest(path)


def test_a_test_photo_without_label_is_refused(mirror, run_fetch):
    write_manifest(mirror.root, [*hashes(mirror.root), ("dataset/test/img_1.jpg", "0" * 40)])
    _, err = run_fetch(mirror.url)
    assert "no label for these test photos:\n  - test_easy/img_1.jpg" in err
    assert mirror.requests == []


def test_a_manifest_without_licence_columns_or_file(mirror, run_fetch, tmp_path):
    write_manifest(mirror.root, hashes(mirror.root, PHOTOS))
    assert "LICENSE is not listed" in run_fetch(mirror.url)[1]
    (mirror.root / "manifest.csv").write_text("name,hash\n")
    assert "first line must be path,git_blob_sha1" in run_fetch(mirror.url)[1]
    (mirror.root / "manifest.csv").unlink()
    assert "cannot be read as a csv file" in run_fetch(mirror.url)[1]


def test_a_folder_that_something_else_made_is_left_alone(mirror, run_fetch, tmp_path):
    for name in ("books", "books.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").write_text("mine")
        _, err = run_fetch(mirror.url)
        assert "was not made by bookcls.fetch" in err
        shutil.rmtree(tmp_path / name)
    (tmp_path / "books").write_text("mine")
    assert "was not made by bookcls.fetch" in run_fetch(mirror.url)[1]
    assert (tmp_path / "books").read_text() == "mine"
    assert mirror.requests == []
    (tmp_path / "books").unlink()
    (tmp_path / "books").mkdir()
    assert run_fetch(mirror.url)[1] == "", "an empty folder is as good as none"


def test_other_settings_do_not_mix(upstream, run_fetch, tmp_path):
    run_fetch(upstream)
    _, err = run_fetch(upstream, size=32)
    assert "was fetched with size=64" in err
    check_dataset(tmp_path / "books")


def test_a_local_folder_that_lacks_files(upstream, run_fetch, tmp_path):
    (upstream / PHOTOS[0]).unlink()
    (upstream / PHOTOS[15]).unlink()
    _, err = run_fetch(upstream)
    assert "lacks 2 file(s)" in err
    assert PHOTOS[0] in err
    assert PHOTOS[15] in err
    assert "neither an http(s) address nor a folder" in run_fetch(tmp_path / "nowhere")[1]
    assert {p.name for p in tmp_path.iterdir()} == {"upstream"}, "no litter"


def test_a_file_that_is_no_photo(upstream, run_fetch):
    (upstream / PHOTOS[0]).write_text("hello")
    write_manifest(upstream, hashes(upstream))
    assert f"{PHOTOS[0]}: not an image" in run_fetch(upstream)[1]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("size=big", "size=big: give a long side in pixels, or full"),
        ("size=8", "size=8: must be between 32 and 16384"),
        ("jobs=0", "jobs=0: must be between 1 and 32"),
        ("output=", "output is empty"),
    ],
)
def test_settings_outside_their_range(run_verb, capsys, override, message):
    assert run_verb(fetch.main, override) == 1
    assert capsys.readouterr().err.startswith(f"bookcls: error: {message}")


def test_the_verb(mirror, run_verb, tmp_path, capsys):
    settings = ("output=books", f"manifest={mirror.root / 'manifest.csv'}", "size=full")
    assert run_verb(fetch.main, "source=nowhere", *settings) == 1
    captured = capsys.readouterr()
    assert captured.err == (
        "bookcls: error: source=nowhere is neither an http(s) address nor a folder.\n"
    )
    assert run_verb(fetch.main, f"source={mirror.url}", *settings) == 0
    check_dataset(tmp_path / "books")
    assert {p.name for p in tmp_path.iterdir()} == {"books", "upstream"}, "no litter"


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a small tmpfs")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a tmpfs is refused here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("size", ["full", 150])
def test_a_full_disk(upstream, run_fetch, small_disk, size):
    _, err = run_fetch(upstream, size=size, output=small_disk / "books")
    assert "is full" in err
    assert f" of 17 files are in {small_disk}" in err
    assert not (small_disk / "books").exists()
    stored = [p for p in (small_disk / "books.partial").rglob("*") if p.is_file()]
    assert stored
    assert not [p.name for p in stored if p.name[:3] == "tmp" or p.name[0] == "."], "no half files"


def test_what_ships_is_the_study():
    entries = manifest.read_manifest(manifest.MANIFEST)
    assert Counter(e.stored.split("/")[0] for e in entries) == {
        "LICENSE": 1,
        "train": 73,
        "test_easy": 6,
        "test_difficult": 20,
    }
    texts = manifest.make_texts(entries, 1024, own_manifest=False)
    assert len(texts["test_easy/labels.csv"].splitlines()) == 1 + 6
    assert len(texts["test_difficult/labels.csv"].splitlines()) == 1 + 20
    assert manifest.COMMIT in texts["SOURCE.md"]


@pytest.mark.network
def test_the_real_photos(run_verb, tmp_path):
    assert run_verb(fetch.main, f"output={tmp_path / 'books'}") == 0
    folder = read_folder(tmp_path / "books")
    assert (len(folder.train), len(folder.tests["difficult"])) == (73, 20)

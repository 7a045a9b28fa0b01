"""The server: its answers, what it shows, and all that it refuses."""

import asyncio
import errno
import http.client
import io
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest
import torch
import torchvision
from PIL import Image

import bookcls
from bookcls import runs, serve
from bookcls.data.images import ImageError, load_image
from bookcls.errors import BookclsError
from bookcls.explaining import failures
from bookcls.explaining.explainer import Explainer
from bookcls.predicting.threshold import Threshold
from bookcls.training.classifier import Classifier
from conftest import NARROW, draw

pytest.importorskip("starlette")

from bookcls.serving import connections, run
from bookcls.serving.answerer import Answerer, TooBusyError
from bookcls.serving.body import Bodies
from bookcls.serving.decoding import load_photo
from bookcls.serving.photos import find_photos, take_evenly
from bookcls.serving.refusals import RefusedError
from bookcls.serving.resolve import format_address, is_local, listen, resolve_settings
from bookcls.serving.settings import ServeConfig

WHOLE = torchvision.models.vgg.cfgs["D"]
HOSTILE = "<img src=x onerror=alert(1)>"
COLOURS = {HOSTILE: (220, 50, 40), "blue": (40, 60, 220), "grey": (90, 90, 90)}
CLASSES = sorted(COLOURS)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    for seed, (name, colour) in enumerate(COLOURS.items()):
        for i in range(3):
            draw(root / "train" / name / f"{i}.jpg", colour, 10 * seed + i)
        draw(root / "test" / name / "<b>0.jpg", colour, 10 * seed + 5)
    return root


def save_run(folder, photos, **hparams):
    """Writes a run folder as far as the verb reads it, of a narrow model."""
    torch.manual_seed(1)
    classifier = Classifier(CLASSES, image_size=32, **hparams)
    for parameter in classifier.model.head.parameters():
        parameter.data *= 3
    parts = (dict(classifier.hparams), classifier.state_dict())
    torch.save(dict(zip(("hyper_parameters", "state_dict"), parts, strict=True)),
               folder / runs.BEST)  # fmt: skip
    (folder / runs.CONFIG).write_text(f"data:\n  root: {photos}\n")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, photos):
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(torchvision.models.vgg.cfgs, "D", NARROW)
        save_run(folder, photos)
        yield folder


class Served:
    """A server in a thread, and requests to it as small as they come."""

    def __init__(self, config):
        self.chosen = resolve_settings(config)
        self.page = run.make_page(config, self.chosen)
        self.answerer = self.page.answerer
        self.port = self.chosen.listener.getsockname()[1]
        self.server = run.make_server(config, self.page)
        serving = self.server.serve(sockets=[self.chosen.listener])
        self.thread = threading.Thread(target=asyncio.run, args=(serving,))
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method, path, body=None, **headers):
        """Status and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def predict(self, body, **headers):
        """Status and value."""
        status, text = self.ask("POST", "/predict", body, **headers)
        return status, json.loads(text)

    def stop(self):
        self.server.should_exit = True
        self.thread.join(60)
        assert not self.thread.is_alive()
        self.answerer.close()


def serve_with(trained, **limits):
    """A server while the generator lives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(torchvision.models.vgg.cfgs, "D", NARROW)
        patch.setattr(connections, "PATIENCE", 2)
        server = Served(ServeConfig(ckpt=str(trained), port=0, **limits))
        yield server
        server.stop()


@pytest.fixture(scope="module")
def served(trained):
    """With narrow limits, so that tests need not wait."""
    yield from serve_with(trained, max_mb=1, timeout=5, hosts=["Desk.local"])


@pytest.fixture(scope="module")
def patient(trained):
    """With the limits that it has by itself."""
    yield from serve_with(trained)


def test_rest_answers_are_those_of_load(served, trained, photos, narrow):
    paths = sorted((photos / "test").rglob("*.jpg"))
    for found, path in zip(bookcls.load(trained).predict(paths), paths, strict=True):
        status, value = served.predict(path.read_bytes())
        assert status == 200
        assert value["probs"] == pytest.approx(found.probs, abs=1e-6)
        assert list(value["probs"]) == CLASSES
        assert (value["answer"], value["unsure"], value["error"]) == (
            found.answer, found.unsure, "",
        )  # fmt: skip
    status, text = served.ask("GET", "/health")
    assert status == 200
    assert json.loads(text)["classes"] == CLASSES


def test_what_is_no_photo_gets_the_reason(served, photos, tmp_path):
    whole = next((photos / "test").rglob("*.jpg")).read_bytes()
    script = tmp_path / "drawing.eps"
    Image.new("RGB", (8, 8)).save(script)  # Pillow reads such by calling another program.
    for body, said in [
        (b"no photo", "not an image"),
        (script.read_bytes(), "not an image"),
        (b"", "empty file"),
        (whole[: len(whole) // 2], "truncated"),
    ]:
        status, value = served.predict(body)
        assert status == 400
        assert said in value["error"]
        assert (value["answer"], value["probs"]) == (None, {})
    status, value = served.predict(b"--x", **{"Content-Type": "multipart/form-data; boundary=x"})
    assert status == 415
    assert "--data-binary" in value["error"]
    status, text = served.ask("GET", "/predict")
    assert status == 405
    assert json.loads(text) == {"error": "/predict accepts POST, not GET."}


def test_size_is_limited(served):
    status, value = served.predict(bytes(1_000_001))
    assert status == 413
    assert "1.0 MB; the limit is 1 MB (max_mb)" in value["error"]
    assert served.predict(iter([b"some"]))[0] == 411
    assert served.ask("POST", "/explain", bytes(1_000_001))[0] == 413
    status, text = served.ask("POST", "/example", bytes(1001))
    assert status == 413
    assert json.loads(text) == {"error": "1.0 kB; the limit here is 1 kB."}


def test_slow_and_broken_clients_cost_the_others_nothing(served, photos):
    body = next((photos / "test").rglob("*.jpg")).read_bytes()
    silent, slow, gone, garbage = (
        socket.create_connection(("127.0.0.1", served.port), timeout=60) for _ in range(4)
    )
    slow.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nhalf")
    gone.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nhalf")
    gone.close()
    garbage.sendall(b"\x16\x03\x01 this is not http\r\n\r\n")
    assert served.predict(body)[0] == 200
    assert b"400" in garbage.recv(100)
    assert silent.recv(100) == b""  # closed, since nothing was asked
    said = slow.recv(1000)
    assert said.startswith(b"HTTP/1.1 408")
    assert b"the photo did not arrive within 5 seconds" in said + slow.recv(1000)
    for client in (silent, slow, garbage):
        client.close()
    assert served.predict(body)[0] == 200


def test_too_many_are_sent_away(served, photos, monkeypatch):
    body = next((photos / "test").rglob("*.jpg")).read_bytes()
    predictor = served.answerer.predictor
    predict, asked, go_on = predictor.predict, threading.Semaphore(0), threading.Event()

    def slow(square):
        asked.release()
        go_on.wait(60)
        return predict(square)

    monkeypatch.setattr(predictor, "predict", slow)
    alone = Answerer(predictor, "cpu", max_waiting=0, timeout=60)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(served.predict, body)
        second = pool.submit(alone.predict, body)
        assert asked.acquire(timeout=60)
        assert asked.acquire(timeout=60)
        try:
            with pytest.raises(TooBusyError, match="too many photos"):
                alone.predict(body)
            status, value = served.predict(body)
            assert (status, "no answer within 5 seconds" in value["error"]) == (503, True)
        finally:
            go_on.set()
        assert first.result()[0] == 200
        assert second.result().answer in CLASSES
    alone.close()


def test_no_file_is_served(served, trained, photos):
    secret = trained / runs.CONFIG
    for path in (
        f"/{secret}", "//etc/passwd", "/page.py", "/page.html", "/answer.html", "/../page.css",
        "/%2e%2e/page.py", "/static/page.css", "/..%5cpage.py", "/%00", "/predict/", "/docs",
        "/openapi.json", "/favicon.ico", "/example/0", "/page.css/x",
    ):  # fmt: skip
        status, text = served.ask("GET", path)
        assert status == 404, path
        assert list(json.loads(text)) == ["error"], path
    for index in (b"3", b"-1", b"x", b"\xff", b"../0", b""):
        status, text = served.ask("POST", "/example", index)
        assert (status, list(json.loads(text))) == (404, ["error"])


def test_an_error_of_ours_is_reported_in_a_line(served, photos, monkeypatch, capfd):
    def fail(_):
        raise RuntimeError("no such file: /home/someone/secret")

    monkeypatch.setattr(served.answerer.predictor, "predict", fail)
    body = next((photos / "test").rglob("*.jpg")).read_bytes()
    for path in ("/predict", "/explain"):
        status, text = served.ask("POST", path, body)
        assert status == 500
        assert "terminal" in json.loads(text)["error"]
        assert "secret" not in text
        said, limit = "", time.monotonic() + 20
        while not said and time.monotonic() < limit:  # It is printed after the response.
            time.sleep(0.05)
            said = capfd.readouterr().err
        assert said.startswith(f"error    in answer to 'POST {path}': RuntimeError: no such file")
        assert len(said.splitlines()) == 1


def test_arriving_photos_share_a_budget():
    """Whoever sends most makes room, the oldest first; nothing beyond the limit is kept."""

    async def receive(parts, kept):
        for part in parts:
            yield {"type": "http.request", "body": part, "more_body": True}
        await kept.wait()
        yield {"type": "http.request", "body": b"", "more_body": False}

    async def attempt():
        bodies, kept = Bodies(max_bytes=10, timeout=5, at_once=2), asyncio.Event()
        tasks = []
        for client, size in (("one", 8), ("other", 5), ("one", 7), ("one", 7)):
            messages = receive([bytes(size)], kept)
            reading = bodies.read(messages.__anext__, 10, client)
            tasks.append(asyncio.create_task(reading))
            await asyncio.sleep(0.01)
        with pytest.raises(RefusedError, match="too many photos are being sent") as refused:
            await tasks[0]
        assert refused.value.status == 503
        await asyncio.sleep(0.01)
        assert sum(len(each.body) for each in bodies._arriving) == 19
        kept.set()
        assert [len(await task) for task in tasks[1:]] == [5, 7, 7]
        with pytest.raises(RefusedError, match="the limit here is"):
            await bodies.read(receive([bytes(6), bytes(5)], kept).__anext__, 10, "one")
        assert not bodies._arriving

    asyncio.run(attempt())


def test_it_writes_no_files(served, photos, monkeypatch):
    monkeypatch.setattr(tempfile, "mkdtemp", None)
    monkeypatch.setattr(tempfile, "mkstemp", None)
    body = next((photos / "test").rglob("*.jpg")).read_bytes()
    assert served.predict(body)[0] == 200
    assert served.ask("POST", "/explain", body)[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:80"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "desk.local"}, 200),
        ({"Host": "DESK.local:80"}, 200),
        ({"Host": "192.168.1.5"}, 421),
        ({"Host": "0.0.0.0"}, 421),
        ({"Host": ""}, 421),
        ({"Host": "["}, 400),
        ({"Host": "me@localhost"}, 400),
        ({"Host": "localhost:port"}, 400),
        ({"Host": "localhost", "Origin": "http://localhost"}, 200),
    ],
)
def test_other_pages_may_not_ask(served, headers, status):
    assert served.ask("GET", "/health", **headers)[0] == status


def test_nothing_comes_from_elsewhere(served):
    for path in ("/", "/page.css", "/page.js", "/camera.js"):
        status, text = served.ask("GET", path)
        assert status == 200
        assert not re.search(r"""(src|href)=["']?(https?:)?//|@import|url\(|from "(?!\./)""", text)
        assert not re.search(
            r"<(script|style)>|<[^>]*\b(on[a-z]+|style)=", text
        )  # nothing is inline
    connection = http.client.HTTPConnection("127.0.0.1", served.port)
    connection.request("GET", "/")
    headers = connection.getresponse().headers
    connection.close()
    assert "default-src 'none'; script-src 'self'" in headers["content-security-policy"]
    assert not re.search("unsafe|http|[*]", headers["content-security-policy"])


def test_names_are_escaped(served, photos):
    status, page = served.ask("GET", "/")
    assert status == 200
    assert HOSTILE not in page
    assert "&lt;img src=x" in page
    status, answer = served.ask("POST", "/example", b"0")
    assert status == 200
    assert answer.count('<li><span class="name">') == 3
    assert "&lt;img src=x onerror" in answer
    assert "<img src=x" not in answer
    status, text = served.ask("POST", "/explain", b"x")
    assert (status, json.loads(text)) == (400, {"error": "This file is not an image."})


def test_an_answer_shows_map_and_neighbours(served, photos):
    index = next(i for i, (s, _) in enumerate(served.page.examples) if CLASSES[s.label] == "blue")
    _, html = served.ask("POST", "/example", str(index).encode())
    assert "This test photo shows blue: the answer is" in html
    assert html.count("data:image/jpeg;base64,") in (5, 6)  # photo, map if any, four neighbours
    blue = next((photos / "train" / "blue").iterdir())
    near = served.answerer.explain(blue.read_bytes()).nearest
    assert len(near) == 4
    assert CLASSES[near[0].sample.label] == "blue"
    assert near[0].similarity == pytest.approx(1, abs=1e-3)
    assert [n.similarity for n in near] == sorted((n.similarity for n in near), reverse=True)


@pytest.mark.parametrize("head", ["linear", "flatten256"])
def test_every_head_has_nearest_photos(photos, tmp_path, monkeypatch, head):
    monkeypatch.setitem(torchvision.models.vgg.cfgs, "D", NARROW)
    save_run(tmp_path, photos, head=head)
    settings = resolve_settings(ServeConfig(ckpt=str(tmp_path), port=0))
    page = run.make_page(ServeConfig(ckpt=str(tmp_path), port=0), settings)
    try:
        blue = next((photos / "train" / "blue").iterdir())
        near = page.answerer.explain(blue.read_bytes()).nearest
    finally:
        page.answerer.close()
        settings.listener.close()
    assert (near[0].sample.path, len(near)) == (blue, 4)


def test_the_nearest_training_photos_are_those_that_cam_shows(served, photos):
    assert served.ask("GET", "/health")[0] == 200  # it has started
    predictor, neighbours = served.answerer.predictor, served.answerer.neighbours
    config = replace(served.answerer.explainer.config, road=False)
    explainer = Explainer(predictor.ckpt, predictor.classifier, config)
    test = find_photos(photos, CLASSES).tests[0]
    (found,) = explainer.explain("test", [test], None, 1)
    wanted = failures.compute_features(explainer, neighbours.samples, 4).nearest(found)
    near = neighbours.nearest(torch.from_numpy(found.features))
    assert [n.sample for n in near][: len(wanted)] == [sample for sample, _ in wanted]
    assert [n.similarity for n in near][: len(wanted)] == pytest.approx(
        [similarity for _, similarity in wanted], abs=1e-4
    )


def test_unsure_is_said_with_the_threshold(served, photos, monkeypatch):
    body = next((photos / "test").rglob("*.jpg")).read_bytes()
    threshold = served.answerer.predictor.threshold
    for value, said in [(0.999, "below the threshold of 0.999"), (0.01, "with probability")]:
        changed = replace(threshold, value=value)
        monkeypatch.setattr(served.answerer.predictor, "threshold", changed)
        html = served.page.answer(body)
        assert said in html
        assert ("<strong>Unsure.</strong>" in html) == (value > 0.5)


def test_the_folder_of_a_threshold_stays_unknown(served, tmp_path):
    config = ServeConfig(unsure=str(tmp_path))
    why = f"the lowest, by 20 predictions ({tmp_path.resolve() / 'held_out.csv'}): 95% are right"
    resolved = replace(served.chosen, threshold=Threshold(0.5, why, CLASSES))
    said = run.describe_threshold(config, resolved)
    assert said == "the lowest, by 20 predictions: 95% are right"
    assert run.describe_threshold(ServeConfig(), served.chosen) == ""


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tiff", "gif"])
def test_a_photo_in_memory_is_read_as_from_a_file(tmp_path, suffix):
    path = tmp_path / f"photo.{suffix}"
    draw(path, (40, 60, 220), 1, (300, 200))
    whole = path.read_bytes()
    rng = random.Random(suffix)
    for attempt in range(60):
        body = bytearray(whole)
        for _ in range(attempt):
            body[rng.randrange(len(body))] = rng.randrange(256)
        body = bytes(body[: rng.randrange(len(body))] if attempt % 3 == 2 else body)
        path.write_bytes(body)
        found = []
        for load in (partial(load_image, path, size=32), partial(load_photo, body, 32)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    found.append(load().tobytes())
                except ImageError as error:
                    found.append(str(error))
        assert found[0] == found[1]


def test_only_this_machine_by_default():
    config = ServeConfig(port=0)
    assert config.host == "127.0.0.1"
    with listen(config.host, 0) as here, listen("0.0.0.0", 0) as anywhere:
        assert is_local(here)
        assert run.warning(config, here) == ""
        assert not is_local(anywhere)
        open_config = ServeConfig(host="0.0.0.0", port=0)
        assert "there is no password" in run.warning(open_config, anywhere)
        assert format_address("0.0.0.0", anywhere).startswith("http://127.0.0.1:")


def test_a_taken_port_is_said_before_torch(trained, run_verb, capsys):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert run_verb(serve.main, f"ckpt={trained}", f"port={port}") == 1
    said = capsys.readouterr()
    assert f"port={port} on 127.0.0.1 is in use" in said.err
    assert f"port={port + 1}" in said.err
    assert "loading torch" not in said.out


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("host=no.such.host.invalid", "no such address"),
        ("host=192.0.2.1", "this machine has no such address"),
        ("port=70000", "port=70000"),
        ("max_mb=0", "max_mb=0"),
        ("rotations=3", "rotations=3"),
        ("hosts=[http://desk]", "hosts: http://desk is not a name"),
        ("data.root=/no/such", "data.root=/no/such does not exist"),
    ],
)
def test_wrong_settings(trained, run_verb, capsys, setting, said):
    assert run_verb(serve.main, f"ckpt={trained}", "port=0", setting) == 1
    assert said in capsys.readouterr().err


def test_a_port_without_permission(monkeypatch):
    def bind(*_):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(socket.socket, "bind", bind)
    with pytest.raises(BookclsError, match="no permission"):
        listen("127.0.0.1", 80)


def test_without_the_extra(trained, run_verb, capsys, monkeypatch):
    monkeypatch.setattr("bookcls.serving.resolve.find_spec", lambda _: None)
    assert run_verb(serve.main, f"ckpt={trained}") == 1
    assert "pip install 'bookcls[serve]'" in capsys.readouterr().err


def test_photos_that_are_gone_are_left_out_in_words(photos, tmp_path):
    gone = find_photos(None, CLASSES)
    assert not gone.train
    assert not gone.tests
    assert "photos no longer exist" in gone.left_out[0]
    others = find_photos(photos, ["cat", "dog"])
    assert not others.train
    assert "the folder has the classes" in others.left_out[0]
    empty = find_photos(tmp_path, CLASSES)
    assert "cannot be used" in empty.left_out[0]
    assert "no test photos" in empty.left_out[1]
    assert str(tmp_path) not in "".join(empty.left_out)  # for whoever opens the page
    assert len(find_photos(photos, CLASSES).tests) == 3
    assert take_evenly([1, 2, 3], 5) == [1, 2, 3]


@pytest.fixture
def browser(tmp_path):
    """Opens as many browsers as a test asks for, and closes them."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs chromium and chromedriver")
    opened = []

    def open_browser(width, scheme, *more):
        options = webdriver.ChromeOptions()
        profile = tmp_path / f"profile{len(opened)}"
        for word in (
            "headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-sync",
            "disable-background-networking", "disable-component-update", f"user-data-dir={profile}",
            *more,
        ):  # fmt: skip
            options.add_argument(f"--{word}")
        options.binary_location = chromium
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        one = webdriver.Chrome(options, webdriver.ChromeService(driver))
        opened.append(one)
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        one.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        one.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        # Only a page in front may use the clipboard.
        one.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
        return one

    yield open_browser
    for one in opened:
        one.quit()


def wait_for(browser, selector, text=""):
    """The first element, once there is one that says so."""
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        found = browser.find_elements("css selector", selector)
        if found and text in (found[0].text if text else ""):
            return found[0]
        time.sleep(0.1)
    raise AssertionError(f"no {selector} {text!r}")


def upload(browser, path):
    wait_for(browser, "#file").send_keys(str(path))


def shown(browser):
    """Class -> probability, as the bars say."""
    wait_for(browser, ".bars li")
    rows = browser.find_elements("css selector", ".bars li")
    texts = [[cell.text for cell in row.find_elements("css selector", "span")] for row in rows]
    return {cells[0]: float(cells[-1]) for cells in texts}


def keep(browser, name):
    """A picture of the whole page for a person, where BOOKCLS_SCREENSHOTS names a folder."""
    if folder := os.environ.get("BOOKCLS_SCREENSHOTS"):
        browser.save_screenshot(f"{folder}/{name}.png")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_in_a_browser(patient, photos, browser, width, scheme):
    """As a person uses it; nothing is asked of others, nothing is complained of."""
    path = next((photos / "test" / "blue").iterdir())
    probs = patient.answerer.predict(path.read_bytes()).probs
    expected = {k: round(v, 3) for k, v in probs.items()}
    page = browser(width, scheme)
    page.get(patient.url)
    upload(page, path)
    assert shown(page) == pytest.approx(expected, abs=0.002)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert len(page.find_elements("css selector", ".near img")) == 4
    pictures = "return [...document.images].every(i => i.complete && i.naturalWidth > 0)"
    assert page.execute_script(pictures)
    if slider := page.find_elements("css selector", ".look input"):
        script = "arguments[0].value = 20; arguments[0].dispatchEvent(new Event('input'))"
        page.execute_script(script, slider[0])
        opacity = "return getComputedStyle(document.querySelector('.heat')).opacity"
        assert float(page.execute_script(opacity)) == pytest.approx(0.2)
    keep(page, f"answer_{width}_{scheme}")
    assert not page.find_elements("css selector", "img[src=x]")

    index = next(i for i, (s, _) in enumerate(patient.page.examples) if CLASSES[s.label] == "grey")
    example = page.find_elements("css selector", ".examples button")
    page.execute_script("arguments[0].click()", example[index])
    wait_for(page, ".label", "This test photo shows grey")
    assert page.execute_script("return document.documentElement.scrollWidth") <= width

    log = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in log if m["method"].endswith("WillBeSent")]
    assert patient.url + "/" in asked
    # Chromium opens with a page of its own.
    assert {
        url
        for url in asked
        if not url.startswith((f"{patient.url}/", "data:", "chrome:", "blob:", "chrome-"))
    } == set()
    complaints = [e["message"] for e in page.get_log("browser") if e["level"] == "SEVERE"]
    assert not complaints


@pytest.mark.slow
def test_a_bad_file_and_a_pasted_one(patient, photos, browser, tmp_path):
    page = browser(1280, "dark")
    page.get(patient.url)
    bad = tmp_path / "bad.jpg"
    bad.write_text("no photo")
    upload(page, bad)
    wait_for(page, ".said.none", "not an image")
    keep(page, "bad_1280_dark")

    page.get(patient.url)
    wait_for(page, "#file")
    for name in ("clipboard-read", "clipboard-write"):
        allowed = {"permission": {"name": name}, "setting": "granted"}
        page.execute_cdp_cmd("Browser.setPermission", allowed)
    page.execute_async_script(
        """const done = arguments[arguments.length - 1], canvas = document.createElement("canvas");
        canvas.width = canvas.height = 40;
        const paint = canvas.getContext("2d");
        paint.fillStyle = "rgb(40, 60, 220)";
        paint.fillRect(0, 0, 40, 40);
        canvas.toBlob(async blob => {
          await navigator.clipboard.write([new ClipboardItem({"image/png": blob})]);
          done();
        });"""
    )
    page.find_element("css selector", "#paste").click()
    assert set(shown(page)) == set(CLASSES)


@pytest.mark.slow
def test_two_users_at_once(patient, photos, browser):
    """Each gets the answer to the own photo."""
    paths = [next((photos / "test" / name).iterdir()) for name in ("blue", "grey")]
    expected = [patient.answerer.predict(path.read_bytes()).probs for path in paths]
    pages = [browser(900, "light") for _ in paths]
    for page in pages:
        page.get(patient.url)
        wait_for(page, "#file")
    for page, path in zip(pages, paths, strict=True):
        upload(page, path)
    for page, probs in zip(pages, expected, strict=True):
        assert shown(page) == pytest.approx(probs, abs=0.002)


@pytest.mark.slow
def test_the_camera_is_not_mirrored(patient, browser, tmp_path, monkeypatch):
    """The preview is; what the model gets has red on the left, as the camera saw it."""
    width, height = 320, 240
    # Y, U, V of red and blue, one after the other as planes of I420.
    halves = [
        ([82] * 160 + [41] * 160, 1),
        ([90] * 80 + [240] * 80, 2),
        ([240] * 80 + [110] * 80, 2),
    ]
    frame = b"".join(bytes(row) * (height // step) for row, step in halves)
    film = tmp_path / "film.y4m"
    film.write_bytes(
        f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420\n".encode() + (b"FRAME\n" + frame) * 10
    )
    sent = []
    explain = patient.answerer.explain
    monkeypatch.setattr(patient.answerer, "explain", lambda b: sent.append(bytes(b)) or explain(b))
    page = browser(
        1280, "light", "use-fake-device-for-media-stream", "use-fake-ui-for-media-stream",
        f"use-file-for-fake-video-capture={film}",
    )  # fmt: skip
    page.get(patient.url)
    wait_for(page, "#take").click()
    playing = "const c = document.querySelector('#camera'); return c.videoWidth && c.currentTime"
    limit = time.monotonic() + 60
    while not page.execute_script(playing) and time.monotonic() < limit:
        time.sleep(0.1)
    transform = "return getComputedStyle(document.querySelector('#camera')).transform"
    assert page.execute_script(transform).startswith("matrix(-1")
    keep(page, "camera_1280_light")
    page.find_element("css selector", "#shoot").click()
    shown(page)
    (body,) = sent
    image = Image.open(io.BytesIO(body)).convert("RGB")
    (red, _, blue), (red_right, _, blue_right) = (
        image.getpixel((int(image.width * x), image.height // 2)) for x in (0.2, 0.8)
    )
    assert red > 150 > blue
    assert blue_right > 150 > red_right
    assert page.execute_script("return document.querySelector('#camera').srcObject") is None


@pytest.mark.slow
def test_ctrl_c_ends_it_cleanly(tmp_path, monkeypatch):
    """With a connection open, as a browser keeps one; nothing is left in the temporary folder."""
    monkeypatch.setitem(torchvision.models.vgg.cfgs, "D", WHOLE)
    classifier = Classifier(CLASSES, image_size=32)
    parts = {"hyper_parameters": dict(classifier.hparams), "state_dict": classifier.state_dict()}
    torch.save(parts, tmp_path / runs.BEST)
    (tmp_path / "temporary").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "bookcls.serve", f"ckpt={tmp_path}", "port=0"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(tmp_path / "temporary")},
    )  # fmt: skip
    try:
        said = ""
        while "Ctrl+C" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        port = int(re.search(r"http://127.0.0.1:(\d+)", said)[1])
        with socket.create_connection(("127.0.0.1", port)) as open_one:
            open_one.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200" in open_one.recv(100)
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, rest
    assert rest.splitlines()[-1] == "stopped"
    assert "Traceback" not in rest
    assert not list((tmp_path / "temporary").glob("bookcls*"))

"""The server: its answers, what it shows, and all that it refuses."""

import asyncio
import errno
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
import torchvision
from PIL import Image

import bookcls
from bookcls import runs, serve
from bookcls.errors import BookclsError
from bookcls.explaining import failures
from bookcls.explaining.explainer import Explainer
from bookcls.training.classifier import Classifier
from conftest import NARROW, draw

pytest.importorskip("gradio")

from bookcls.serving import connections, run
from bookcls.serving.answerer import Answerer, TooBusyError
from bookcls.serving.photos import find_photos, take_evenly
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


@pytest.fixture(scope="module")
def trained(tmp_path_factory, photos):
    """A run folder as far as the verb reads it, of a narrow model."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(torchvision.models.vgg.cfgs, "D", NARROW)
        classifier = Classifier(CLASSES, image_size=32)
        for parameter in classifier.model.head.parameters():
            parameter.data *= 3
        parts = (dict(classifier.hparams), classifier.state_dict())
        torch.save(dict(zip(("hyper_parameters", "state_dict"), parts, strict=True)),
                   folder / runs.BEST)  # fmt: skip
        (folder / runs.CONFIG).write_text(f"data:\n  root: {photos}\n")
        yield folder


class Served:
    """A server in a thread, and requests to it as small as they come."""

    def __init__(self, config, folder):
        self.chosen = resolve_settings(config)
        self.folder = folder
        self.page = run.make_page(config, self.chosen)
        self.answerer = self.page.answerer
        self.port = self.chosen.listener.getsockname()[1]
        self.thread = threading.Thread(target=asyncio.run, args=(self.answer(config),))
        self.thread.start()

    async def answer(self, config):
        self.server = run.make_server(config, self.chosen.listener, self.folder, self.page)
        await self.server.serve(sockets=[self.chosen.listener])

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


def serve_with(trained, folder, **limits):
    """A server while the generator lives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(torchvision.models.vgg.cfgs, "D", NARROW)
        patch.setattr(connections, "PATIENCE", 2)
        server = Served(ServeConfig(ckpt=str(trained), port=0, **limits), folder)
        yield server
        server.stop()


@pytest.fixture(scope="module")
def served(trained, tmp_path_factory):
    """With narrow limits, so that tests need not wait."""
    yield from serve_with(trained, tmp_path_factory.mktemp("uploads"), max_mb=1, timeout=5)


@pytest.fixture(scope="module")
def patient(trained, tmp_path_factory):
    """With the limits that it has by itself."""
    yield from serve_with(trained, tmp_path_factory.mktemp("uploads"))


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
    assert "POST" in text
    assert not [path for path in served.folder.iterdir() if path.is_file()]


def test_size_is_limited(served):
    status, value = served.predict(bytes(1_000_001))
    assert status == 413
    assert "1.0 MB; the limit is 1 MB (max_mb)" in value["error"]
    assert served.predict(iter([b"some"]))[0] == 411
    assert served.ask("POST", "/gradio_api/upload", bytes(1_000_001))[0] == 413


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
    path = next((photos / "test").rglob("*.jpg"))
    predictor = served.answerer.predictor
    predict, asked, go_on = predictor.predict, threading.Semaphore(0), threading.Event()

    def slow(path):
        asked.release()
        go_on.wait(60)
        return predict(path)

    monkeypatch.setattr(predictor, "predict", slow)
    alone = Answerer(predictor, "cpu", max_waiting=0, timeout=60)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(served.predict, path.read_bytes())
        second = pool.submit(alone.predict, path)
        assert asked.acquire(timeout=60)
        assert asked.acquire(timeout=60)
        try:
            with pytest.raises(TooBusyError, match="too many photos"):
                alone.predict(path)
            status, value = served.predict(path.read_bytes())
            assert (status, "no answer within 5 seconds" in value["error"]) == (503, True)
        finally:
            go_on.set()
        assert first.result()[0] == 200
        assert second.result().answer in CLASSES


def test_no_file_is_served_but_uploads(served, trained, photos):
    secret = trained / runs.CONFIG
    inside = served.folder / "upload.txt"
    inside.write_text("an upload")
    beside = served.folder.with_name(f"{served.folder.name}-beside.txt")
    beside.write_text("secret")
    link = served.folder / "link.txt"
    link.symlink_to(secret)
    photo = next((photos / "train").rglob("*.jpg"))
    for path in (
        f"/gradio_api/file={secret}", f"/gradio_api/file={photo}", f"/gradio_api/file={beside}",
        "/gradio_api/file=/etc/passwd", f"/gradio_api/file={served.folder}/../{beside.name}",
        f"/gradio_api/file={served.folder}/%2e%2e/{beside.name}", f"/gradio_api/file={link}",
        f"/gradio_api/file/{secret}", f"/file={secret}", "/gradio_api/file=http://127.0.0.1:1/",
        "/gradio_api/proxy=http://127.0.0.1:1/", "/assets/../../../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/package.json", "/assets/..%2f..%2fapp.py", "/static/%2fetc/passwd",
        "/static/..%5c..%5cwin.ini", "/docs", "/openapi.json", "/gradio_api/info", "/svelte/x",
        "/gradio_api/file=%00", "/monitoring", f"/{secret}", "//etc/passwd",
    ):  # fmt: skip
        status, text = served.ask("GET", path)
        assert status in (400, 403, 404), path
        assert "secret" not in text, path
        assert "data:" not in text, path
    assert served.ask("GET", f"/gradio_api/file={inside}") == (200, "an upload")


def join(served, path, **more):
    """Asks as the page does, with a path of one's own; the answer of the queue."""
    config = json.loads(served.ask("GET", "/config")[1])
    index = next(d["id"] for d in config["dependencies"] if d["inputs"])
    data = {"path": str(path), "meta": {"_type": "gradio.FileData"}, **more}
    body = {"data": [data], "fn_index": index, "session_hash": "test", "event_data": None}
    joined = served.ask(
        "POST", "/gradio_api/queue/join", json.dumps(body), **{"Content-Type": "application/json"}
    )
    assert joined[0] == 200, joined
    return served.ask("GET", "/gradio_api/queue/data?session_hash=test")[1]


def test_the_page_answers_to_uploads_alone(served, trained, photos):
    photo = next((photos / "train").rglob("*.jpg"))
    upload = served.folder / "given" / "photo.jpg"
    upload.parent.mkdir(exist_ok=True)
    shutil.copy(photo, upload)
    before = sorted(served.folder.rglob("*"))
    assert "What it looked at" in join(served, upload)
    with socket.socket() as outside:
        outside.bind(("127.0.0.1", 0))
        outside.listen()
        outside.settimeout(0.1)
        address = f"http://127.0.0.1:{outside.getsockname()[1]}/x.jpg"
        for path in (photo, "/etc/passwd", address):
            for more in ({}, {"url": address}, {"meta": {}}, {"is_stream": True}):
                said = join(served, path, **more)
                assert '"success":false' in said, (path, more)
                assert "What it looked at" not in said
        with pytest.raises(TimeoutError):
            outside.accept()  # nothing was fetched
    assert sorted(served.folder.rglob("*")) == before  # nothing was copied


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:80"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "["}, 400),
        ({"Host": "localhost", "Origin": "http://localhost"}, 200),
    ],
)
def test_other_pages_may_not_ask(served, headers, status):
    assert served.ask("GET", "/health", **headers)[0] == status


def test_nothing_comes_from_elsewhere(served):
    status, page = served.ask("GET", "/")
    assert status == 200
    loaded = re.findall(r"""(?:src|href)=["']?(?:https?:)?//[^"' >]+""", page)
    assert not loaded
    config = json.loads(served.ask("GET", "/config")[1])
    assert config["analytics_enabled"] is False
    assert config["space_id"] is None
    assert not config["stylesheets"]
    assert not re.search(r"@import|url\(\s*['\"]?(https?:)?//", served.ask("GET", "/theme.css")[1])
    connection = http.client.HTTPConnection("127.0.0.1", served.port)
    connection.request("GET", "/")
    headers = connection.getresponse().headers
    connection.close()
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "http" not in headers["content-security-policy"]


def test_names_are_escaped(served):
    config = served.ask("GET", "/config")[1]
    assert HOSTILE not in config
    assert "&lt;img src=x" in config
    html = served.page._answer(next(s.path for s, _ in served.page.examples))
    assert html.count('<li><span class="name">') == 3
    assert "&lt;img src=x onerror" in html
    assert "<img src=x" not in html
    wrong = served.folder / "wrong.jpg"
    wrong.write_text("x")
    assert "not an image" in served.page.ask(str(wrong))


def test_an_answer_shows_map_and_neighbours(served, photos):
    index = next(i for i, (s, _) in enumerate(served.page.examples) if CLASSES[s.label] == "blue")
    sample = served.page.examples[index][0]
    html = served.page._answer(sample.path, sample)
    assert "This test photo shows blue: the answer is" in html
    assert html.count("data:image/jpeg;base64,") in (5, 6)  # photo, map if any, four neighbours
    near = served.answerer.explain(next((photos / "train" / "blue").iterdir())).nearest
    assert len(near) == 4
    assert CLASSES[near[0].sample.label] == "blue"
    assert near[0].similarity == pytest.approx(1, abs=1e-3)
    assert [n.similarity for n in near] == sorted((n.similarity for n in near), reverse=True)


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
    path = next((photos / "test").rglob("*.jpg"))
    threshold = served.answerer.predictor.threshold
    for value, said in [(0.999, "below the threshold of 0.999"), (0.01, "with probability")]:
        changed = replace(threshold, value=value)
        monkeypatch.setattr(served.answerer.predictor, "threshold", changed)
        html = served.page._answer(path)
        assert said in html
        assert ("<strong>Unsure.</strong>" in html) == (value > 0.5)


def test_uploads_do_not_fill_the_disk(served, photos):
    body = next((photos / "test").rglob("*.jpg")).read_bytes()
    large = served.folder / "large"
    with large.open("wb") as file:
        file.truncate(41_000_000)
    assert served.predict(body)[0] == 503
    large.unlink()
    assert served.predict(body)[0] == 200


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


def test_without_gradio(trained, run_verb, capsys, monkeypatch):
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

    def open_browser(width, scheme):
        options = webdriver.ChromeOptions()
        profile = tmp_path / f"profile{len(opened)}"
        for word in (
            "headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-sync",
            "disable-background-networking", "disable-component-update", f"user-data-dir={profile}",
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
    wait_for(browser, "input[type=file]").send_keys(str(path))


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
    expected = {k: round(v, 3) for k, v in patient.answerer.predict(path).probs.items()}
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
    example = page.find_elements("css selector", ".examples .thumbnail-item")
    page.execute_script("arguments[0].click()", example[index])
    wait_for(page, ".label", "This test photo shows grey")

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
    wait_for(page, "input[type=file]")
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
    page.find_element("css selector", "button[aria-label='Paste from clipboard']").click()
    assert set(shown(page)) == set(CLASSES)


@pytest.mark.slow
def test_two_users_at_once(patient, photos, browser):
    """Each gets the answer to the own photo."""
    paths = [next((photos / "test" / name).iterdir()) for name in ("blue", "grey")]
    expected = [patient.answerer.predict(path).probs for path in paths]
    pages = [browser(900, "light") for _ in paths]
    for page in pages:
        page.get(patient.url)
        wait_for(page, "input[type=file]")
    for page, path in zip(pages, paths, strict=True):
        upload(page, path)
    for page, probs in zip(pages, expected, strict=True):
        assert shown(page) == pytest.approx(probs, abs=0.002)


@pytest.mark.slow
def test_ctrl_c_ends_it_cleanly(tmp_path, monkeypatch):
    """With a connection open, as a browser keeps one; the folder of uploads goes too."""
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
            open_one.sendall(
                b"GET /gradio_api/queue/data?session_hash=x HTTP/1.1\r\nHost: localhost\r\n\r\n"
            )
            assert b"200" in open_one.recv(100)
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, rest
    assert rest.splitlines()[-1] == "stopped"
    assert "Traceback" not in rest
    assert not list((tmp_path / "temporary").glob("bookcls-serve-*"))

"""Promise 4: bad input, in bulk, is used or refused by name.

Each attack runs in a process of its own, so that a crash, a hang or too much memory is seen. What
has once come through is written down here as an example, and tried first.
"""

# ruff: noqa: PT017 - whether an error comes is what is asked.

import csv
import inspect
import io
import json
import os
import resource
import signal
import string
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from omegaconf.errors import OmegaConfBaseException
from PIL import Image

from bookcls.config import conf_dir, read_config, register_resolvers, to_dataclass
from bookcls.data.dataset import read_tests
from bookcls.data.groups import read_groups
from bookcls.data.images import ImageError, fit_square, load_image
from bookcls.data.samples import Sample, make_sample
from bookcls.errors import BookclsError
from bookcls.explaining import external
from bookcls.models.weights import find_weights
from bookcls.settings import TrainConfig
from bookcls.training.checkpoint import load_classifier
from bookcls.training.classifier import Classifier
from bookcls.training.hparams import check_hparams
from conftest import draw
from victims import Victim, needs_fork, sizes

pytestmark = [needs_fork, pytest.mark.usefixtures("narrow")]

SECONDS = 5
"""Of CPU time that one input may take."""
GIGABYTES = 2
"""Of memory that all of an attack may take beyond what the imports did."""


def attack(tmp_path: Path, tries: int, check: Callable[..., None], minutes: float = 30) -> None:
    """Tries inputs in another process, within its bounds of time and memory.

    Args:
        tmp_path: For its log.
        tries: How many.
        check: A test by hypothesis.given; its inputs lie in files where it reads files.
        minutes: What all of them may take.
    """
    phases = (Phase.explicit, Phase.generate, Phase.shrink)
    # In CI, and in the part, the inputs are the same each time; the whole looks further each time.
    same = tries < 1000 or "CI" in os.environ
    options = {"derandomize": same, "database": None, "deadline": None, "phases": phases}
    bounded = settings(max_examples=tries, suppress_health_check=list(HealthCheck), **options)

    def work() -> None:
        torch.set_num_threads(1)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + GIGABYTES * 2**30,) * 2)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)  # The end of the process, also within C.
        bounded(check)()

    victim = Victim(work, tmp_path / "log")
    assert victim.wait(60 * minutes) == 0, victim.said[-8000:]


def timed() -> None:
    """Starts the clock of one input."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)


def whole_images() -> list[bytes]:
    """Small files of every format and of the modes that phones, scanners and the web make."""
    rng = np.random.default_rng(0)
    rgb = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    grey16 = Image.fromarray(rng.integers(0, 2**16, (8, 8), dtype=np.uint16))
    floats = Image.fromarray(rng.random((8, 8), dtype=np.float32))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    made: list[tuple[Image.Image, str, dict]] = [
        (rgb, "JPEG", {"exif": exif}),
        (rgb, "JPEG", {"progressive": True}),
        (rgb.convert("CMYK"), "JPEG", {}),
        (rgb, "MPO", {"save_all": True, "append_images": [rgb]}),
        (rgb, "PNG", {"exif": exif}),
        (rgb.convert("P"), "PNG", {"transparency": 3}),
        (rgb.convert("LA"), "PNG", {}),
        (grey16, "PNG", {}),
        (rgb, "WEBP", {"exif": exif}),
        (rgb.convert("RGBA"), "WEBP", {"lossless": True}),
        (rgb, "BMP", {}),
        (rgb.convert("P"), "BMP", {}),
        (rgb.convert("P"), "GIF", {"save_all": True, "append_images": [rgb.convert("P")]}),
        (rgb, "TIFF", {}),
        (rgb, "TIFF", {"compression": "tiff_lzw"}),
        (rgb, "TIFF", {"compression": "jpeg"}),
        (rgb.convert("1"), "TIFF", {"compression": "group4"}),
        (floats, "TIFF", {}),
    ]
    files = []
    for image, kind, options in made:
        out = io.BytesIO()
        image.save(out, kind, **options)
        files.append(out.getvalue())
    return files


EXTREMES = [struct.pack(f, v) for f in ("<I", ">I") for v in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 50000)]
EDIT = st.tuples(
    st.sampled_from(["set", "cut", "insert", "delete", "repeat"]),
    st.floats(0, 1),
    st.sampled_from(EXTREMES) | st.binary(min_size=1, max_size=4),
)


def edited(
    whole: bytes, edits: list[tuple[str, float, bytes]], *, head: int | None = None
) -> bytes:
    """A file with changes; of a long one mostly within its first bytes, where the structure is."""
    content = bytearray(whole)
    for how, where, new in edits:
        length = len(content) if head is None or where > 0.9 else min(head, len(content))
        at = int(where * length)
        if how == "set":
            content[at : at + len(new)] = new
        elif how == "cut":
            del content[at:]
        elif how == "insert":
            content[at:at] = new
        elif how == "delete":
            del content[at : at + len(new)]
        else:
            content[at:at] = content[at : at + 64]
    return bytes(content)


@sizes("tries", 300, 7000)
def test_images(tmp_path, tries):
    wholes = whole_images()
    path = tmp_path / "photo.jpg"

    @given(st.sampled_from(wholes), st.lists(EDIT, max_size=6), st.sampled_from([None, 32]))
    def check(whole, edits, size):
        path.write_bytes(edited(whole, edits))
        timed()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as photos.decode
            try:
                image = load_image(path, size=size)
            except ImageError as error:
                assert str(error).strip()
            else:
                assert image.mode == "RGB"
                assert fit_square(image, 32, "letterbox").shape == (32, 32, 3)

    attack(tmp_path, tries, check)


CLASSES = ["blue", "red"]
CELL = st.sampled_from(
    ["file", "dominant", "accepted", "group", "0.png", "1.png", "2.png", "train/red/0.png", "red",
     "blue", "red;blue", ";", "", " ", '"', "'", "=1", "..", "../0.png", "/0.png", "\x00", "\ufeff",
     "a" * 5000, "写真", "red\n", "RED"]
) | st.text(max_size=6)  # fmt: skip
HEAD = ["file", "dominant", "accepted"]


def tables(head: list[str], right: list[list[str]]) -> st.SearchStrategy[bytes]:
    """Csv files: nearly right ones, rows of anything, and bytes of anything."""

    def written(rows: list[list[str]], edits: list, bom: bool, encoding: str) -> bytes:
        out = io.StringIO()
        csv.writer(out).writerows(rows)
        text = out.getvalue().encode(encoding, "replace")
        return edited(b"\xef\xbb\xbf" * bom + text, edits)

    row = st.sampled_from(right) | st.lists(CELL, max_size=4)
    rows = st.lists(row, max_size=5).map(lambda found: [head, *found])
    rows |= st.permutations(right).map(lambda found: [head, *found])
    rows |= st.lists(st.lists(CELL, max_size=4), max_size=4)
    codes = st.sampled_from(["utf-8", "utf-8", "utf-8", "latin-1", "utf-16"])
    return st.builds(written, rows, st.lists(EDIT, max_size=2), st.booleans(), codes) | st.binary(
        max_size=40
    )


@sizes("tries", 150, 3000)
def test_labels(tmp_path, tries):
    root = tmp_path / "photos"
    for i in range(3):
        draw(root / "test" / f"{i}.png", (200, 40, 40), i, (8, 8))
    right = [["0.png", "red", "red"], ["1.png", "", "red;blue"], ["2.png", "blue", "blue"]]

    @given(tables(HEAD, right))
    @example(b"file,dominant,accepted\n0.png,red,red\n" + b"x" * 200_000)
    def check(content):
        (root / "test" / "labels.csv").write_bytes(content)
        problems: list[str] = []
        timed()
        found = read_tests(root, CLASSES, problems)["test"]
        if problems:
            assert all("test" in line for line in problems)
        else:
            assert [s.name for s in sorted(found, key=lambda s: s.name)] == [
                row[0] for row in right
            ]
            assert all(s.accepted and set(s.accepted) <= {0, 1} for s in found)

    attack(tmp_path, tries, check)


@sizes("tries", 100, 2000)
def test_groups(tmp_path, tries):
    paths = [draw(tmp_path / "train/red" / f"{i}.png", (200, 40, 40), i, (8, 8)) for i in range(3)]
    photos = [make_sample(path, tmp_path / "train", 1, (1,)) for path in paths]
    right = [[f"train/red/{i}.png", "sofa"] for i in range(3)]

    @given(tables(["file", "group"], right))
    def check(content):
        (tmp_path / "groups.csv").write_bytes(content)
        problems: list[str] = []
        timed()
        found = read_groups(tmp_path, photos, problems)
        assert [s.name for s in found] == [s.name for s in photos]
        assert all(line.startswith("groups.csv") for line in problems)

    attack(tmp_path, tries, check)


ODD = st.sampled_from(
    [None, True, -1, 0, 31, 10**9, 1.5, float("nan"), float("inf"), "", "red", [], [1], ["a", "a"],
     ["a", "b", "c"], [0.5, 0.5, 0.5], [0.0, 0.0, 0.0], [None] * 3, {}, {"a": 1}, "gap256",
     torch.zeros(3)]
)  # fmt: skip


@sizes("tries", 60, 2000)
def test_checkpoints(tmp_path, tries):
    classifier = Classifier(CLASSES, image_size=32)
    plain = {"hyper_parameters": dict(classifier.hparams), "state_dict": classifier.state_dict()}
    path = tmp_path / "best.ckpt"
    torch.save(plain, path)
    whole = path.read_bytes()
    names = st.sampled_from([*plain["hyper_parameters"], "_instantiator", "_class_path", 1])
    tensors = st.sampled_from([*plain["state_dict"], "more"])
    bad = st.sampled_from([None, 1, torch.zeros(2), torch.zeros(2, dtype=torch.int8)])

    @given(
        st.dictionaries(names, ODD, max_size=2),
        st.dictionaries(tensors, bad, max_size=1),
        st.lists(EDIT, max_size=3),
    )
    @example({"mean": None}, {}, [])
    @example({"image_size": 10**9, "head": "flatten256"}, {}, [])
    @example({"freeze_to": "nowhere"}, {}, [])
    def check(hparams, state, edits):
        if edits:
            path.write_bytes(edited(whole, edits, head=4000))
        else:
            content = {key: dict(value) for key, value in plain.items()}
            content["hyper_parameters"] |= hparams
            content["state_dict"] |= state
            torch.save(content, path)
        timed()
        try:
            found = load_classifier(path)
        except BookclsError as error:
            assert str(path) in str(error)
        else:
            check_hparams(dict(found.hparams), inspect.signature(Classifier).parameters)

    attack(tmp_path, tries, check)


@sizes("tries", 60, 2000)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights(tmp_path, tries, suffix):
    from safetensors.torch import save_file

    state = Classifier(CLASSES, image_size=32).model.features.state_dict()
    features = {name: value.contiguous() for name, value in state.items()}
    path = tmp_path / f"weights{suffix}"
    (torch.save if suffix == ".pth" else save_file)(features, path)
    whole = path.read_bytes()
    expected = {name: value.shape for name, value in features.items()}

    @given(st.lists(EDIT, max_size=4))
    def check(edits):
        path.write_bytes(edited(whole, edits, head=4000))
        timed()
        try:
            found = find_weights(str(path)).state
        except BookclsError as error:
            assert str(path) in str(error)
        else:
            assert {name: value.shape for name, value in found.items()} == expected
            assert all(torch.isfinite(value).all() for value in found.values())

    attack(tmp_path, tries, check)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from([10**400, 0.7, "gs://b/test_easy/a.jpg", "red"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["ID", "annotations", "display_name", "classification", "score",
                         "instance", "content", "prediction", "displayNames", "confidences"]),
        inner, max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip
AUTOML = st.builds(
    lambda name, label, score: {
        "ID": name, "annotations": [{"display_name": label, "classification": {"score": score}}]
    },
    JSON, JSON, JSON,
) | st.builds(
    lambda name, labels, scores: {
        "instance": {"content": name},
        "prediction": {"displayNames": labels, "confidences": scores},
    },
    JSON, JSON, JSON,
)  # fmt: skip


@sizes("tries", 150, 2500)
def test_answers_of_another_system(tmp_path, tries):
    path = tmp_path / "answers"
    photo = Sample(Path("/d/test_easy/a.jpg"), "a.jpg", 0, (0,), "")
    lines = st.lists(AUTOML | JSON, min_size=1, max_size=3).map(
        lambda rows: "\n".join(map(json.dumps, rows)).encode()
    )
    right = [["a.jpg", "red", "0.7"], ["b.jpg", "blue", ""], ["a.jpg", "", "1"]]
    deep = b'{"ID": ' + b"[" * 100_000

    @given(tables(["file", "label", "score"], right) | lines)
    @example(json.dumps({"ID": "a", "annotations": 5}).encode())
    @example(deep)
    @example(b'{"ID":"a","annotations":[{"display_name":"b","classification":{"score":1'
             + b"0" * 400 + b"}}]}")  # fmt: skip
    def check(content):
        path.write_bytes(content)
        timed()
        try:
            answers = external.read_answers(path)
            joined = external.join(answers, [("test_easy", photo)], CLASSES)
            external.join_warnings(joined, path)
        except BookclsError as error:
            assert f"external={path}" in str(error)
        else:
            assert all(0 <= answer.score <= 1 for answer in answers.values())

    attack(tmp_path, tries, check)


KEYS = ["data.root", "data.image_size", "model.freeze_to", "optim.lr", "seed", "trainer.devices",
        "trainer.limit_val_batches", "aug", "data", "experiment", "sweep", "optim.ema", "resume",
        "logger.kind", "hydra.run.dir", "data.val_fraction", "model", "nothing.at.all"]  # fmt: skip
VALUES = ["", "null", "1", "-1", "1e400", "nan", "inf", "0.5", "true", "all", "[1,2]", "{a:1}", "~",
          "${seed}", "${nope}", "${oc.env:NOPE}", "${data.root}", "${", "'", '"', "a=b", "a,b",
          "写真 é", "\\", "range(3)", "[" * 300, "@", "a\nb", "1" * 5000]  # fmt: skip
WORD = st.builds(
    lambda sign, key, equals, value: f"{sign}{key}{equals}{value}",
    st.sampled_from(["", "", "", "", "+", "++", "~"]),
    st.sampled_from(KEYS) | st.text(string.ascii_letters + "./@_- é", max_size=8),
    st.sampled_from(["=", "=", "=", "=", "", ":", "=="]),
    # No system has a command line with a NUL in it.
    st.sampled_from(VALUES) | st.text(st.characters(exclude_characters="\0"), max_size=8),
)


@sizes("tries", 30, 1000)
def test_overrides(tmp_path, tries):
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    from bookcls.command.messages import explain_error, raised_by_hydra
    from bookcls.command.overrides import quote_overrides

    @given(st.lists(WORD, min_size=1, max_size=2))
    @example(["seed=" + "[" * 300])
    @example(["=null"])
    @example(["data=null"])
    def check(words):
        timed()
        GlobalHydra.instance().clear()
        try:
            register_resolvers()
            words = [w for w in quote_overrides(words, TrainConfig) if not w.startswith("-")]
            with hydra.initialize_config_dir(str(conf_dir("train")), version_base="1.3"):
                cfg = hydra.compose("train", overrides=words)
            assert isinstance(to_dataclass(cfg, TrainConfig), TrainConfig)
        except (BookclsError, HydraException, OmegaConfBaseException, OSError) as error:
            assert explain_error(error, "train").strip()
        except Exception as error:
            assert raised_by_hydra(error, attack.__code__), repr(error)

    attack(tmp_path, tries, check)


@sizes("tries", 30, 1000)
def test_settings_of_a_run(tmp_path, tries):
    """A run folder's config.yaml that somebody has edited."""
    import hydra
    from omegaconf import OmegaConf

    register_resolvers()
    with hydra.initialize_config_dir(str(conf_dir("train")), version_base="1.3"):
        whole = OmegaConf.to_yaml(hydra.compose("train"), resolve=True).encode()
    path = tmp_path / "config.yaml"
    pieces = st.sampled_from(
        [b"${a}", b": ", b"\n", b"  ", b"- ", b"!!python/none x", b"&a *a", b"null", b"{", b"1e9",
         b"???", b"\xff", b"\t"]
    )  # fmt: skip
    cuts = st.tuples(st.sampled_from(["set", "insert", "cut"]), st.floats(0, 1), pieces)

    @given(st.lists(cuts | EDIT, max_size=3))
    def check(edits):
        path.write_bytes(edited(whole, edits))
        timed()
        try:
            assert isinstance(to_dataclass(read_config(path), TrainConfig), TrainConfig)
        except (BookclsError, OmegaConfBaseException, OSError) as error:
            assert str(error).strip()

    attack(tmp_path, tries, check)

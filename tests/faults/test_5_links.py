"""Promise 5: a run folder whose links lead elsewhere is refused before anything is touched."""

import os
import time
from dataclasses import asdict
from itertools import product
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

import bookcls
from bookcls import (
    cam,
    evaluate,
    export,
    fetch,
    predict,
    pretrain,
    report,
    serve,
    train,
    tune,
)
from bookcls.config import to_dataclass
from bookcls.errors import BookclsError
from bookcls.settings import TrainConfig
from bookcls.storage import files, folders
from conftest import TINY
from test_config import composed
from test_fetch import CLASSES, upstream  # noqa: F401 - a fixture
from test_report import make_sweep

LINKS = {
    # place in the run folder -> where it leads, seen from that place
    "members": "{out}",
    "members/1": "{out}/1",
    "members/2/logs": "{out}/deep/er",
    "logs": "{out}",
    "logs/version_0": "../../out/deep",
    "tensorboard": "..",
    "report": "{out}",
    "cam": "{out}",
    "cam/test_easy": "{out}/1",
    ".hydra": "{out}",
    ".hydra/config.yaml": "{out}/file",
    "config.yaml": "{out}/config.yaml",
    "best.ckpt": "{out}/file",
    "last.ckpt": "{out}/file",
    "metrics.json": "{out}/new",
    "study.db": "{out}/file",
    "held_out.csv": "{out}/file",
    "jobs.jsonl": "{out}/file",
    "multirun.yaml": "{out}/file",
    "output.txt": "{out}/new",
    ".lock": "{out}/new",
    "best.onnx": "{out}/new.onnx",
    ".last.ckpt.1": "{out}/file",
    "other": "{run}-beside",
    "climbs": "logs/../../out",
    "first": "second",  # and that one leads out
    "0123456789ab": "{out}/1",
}
FEW = ("members", "logs/version_0", ".hydra", "config.yaml", "best.ckpt", "metrics.json")

VERBS = {
    "resume": (train.main, "resume={run}"),
    "train": (train.main, "data.root={photos}", *TINY, "hydra.run.dir={run}"),
    "sweep": (train.main, "-m", "data.root={photos}", *TINY, "seed=0,1", "hydra.sweep.dir={run}"),
    "tune": (tune.main, "data.root={photos}", "trials=1", "hydra.run.dir={run}"),
    "tune resume": (tune.main, "resume={run}"),
    "pretrain": (pretrain.main, "preset=toy", "hydra.run.dir={run}"),
    "pretrain resume": (pretrain.main, "resume={run}"),
    "evaluate": (evaluate.main, "ckpt={run}"),
    "evaluate into": (evaluate.main, "ckpt={run}/best.ckpt", "hydra.run.dir={run}"),
    "cam": (cam.main, "ckpt={run}"),
    "cam a file": (cam.main, "ckpt={run}/best.ckpt"),
    "predict": (predict.main, "ckpt={run}", "images={photos}"),
    "predict unsure": (predict.main, "ckpt={good}", "images={photos}", "unsure={run}"),
    "export": (export.main, "ckpt={run}"),
    "serve": (serve.main, "ckpt={run}", "port=0"),
    "report": (report.main, "runs={run}"),
    "report below": (report.main, "runs={run}/.."),
}


def everything(folder: Path) -> dict[str, object]:
    """Each file, folder and link below a folder, and what it holds; links are not followed."""
    found: dict[str, object] = {}
    for place, subfolders, names in os.walk(folder):
        for name in [*subfolders, *names]:
            path = Path(place, name)
            key = str(path.relative_to(folder))
            if path.is_symlink():
                found[key] = path.readlink()
            else:
                found[key] = path.read_bytes() if path.is_file() else None
    return found


@pytest.fixture
def place(tmp_path, shared_photos):
    """A folder with room for a run, and another whose content is somebody else's."""
    place = tmp_path / "place"
    for name in (
        "out/1/a",
        "out/2/b",
        "out/deep/er/c",
        "out/file",
        "run-beside/d",
        "good/best.ckpt",
    ):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(f"precious {name}")
    GlobalHydra.instance().clear()
    words = [f"data.root={shared_photos}", *TINY, "ensemble=2"]
    settings = asdict(to_dataclass(composed(*words), TrainConfig))
    OmegaConf.save(OmegaConf.create(settings), place / "out" / "config.yaml")
    return place


def make_run(place: Path, run: Path, link: str, verb: str, photos: Path) -> Path:
    """An unfinished run of an ensemble of two, with one link; returns the link."""
    for name in ("best.ckpt", "last.ckpt"):
        run.mkdir(exist_ok=True)
        (run / name).write_text("no checkpoint, but never read")
    if verb in (
        "resume",
        "cam",
        "evaluate",
        "export",
        "serve",
        "predict",
        "report",
        "report below",
    ):
        (run / "config.yaml").write_bytes((place / "out" / "config.yaml").read_bytes())
    if "tune" in verb or "pretrain" in verb or "a file" in verb or "into" in verb:
        (run / "config.yaml").write_text("space: {}\n")
    (run / "logs").mkdir()
    path = run / link
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.symlink_to(LINKS[link].format(out=place / "out", run=run))
    if link == "first":
        (run / "second").symlink_to(place / "out")
    return path


def attack(place, photos, run_verb, capsys, verb: str, link: str) -> None:
    """Runs a verb on a run folder with a link, and looks at what it did."""
    run = place / "run"
    path = make_run(place, run, link, verb, photos)
    before = everything(place)
    main, *words = VERBS[verb]
    known = {"run": run, "photos": photos, "good": place / "good"}
    assert run_verb(main, *(word.format(**known) for word in words)) == 1, (verb, link)
    said = capsys.readouterr().err
    assert everything(place) == before, (verb, link)
    assert "Traceback" not in said, (verb, link)
    names = [str(path), str(run / "second")] if link == "first" else [str(path)]
    assert any(f"{name} is a link to {place}" in said for name in names), (verb, link, said)
    assert "Remove the link" in said


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_goes_where_a_link_leads(place, shared_photos, run_verb, capsys, verb):
    number = list(VERBS).index(verb)
    for link in {FEW[number % len(FEW)], "logs"}:
        attack(place, shared_photos, run_verb, capsys, verb, link)
        runs_away(place)


# All 459 pairs take five minutes: one verb with every link, the others with a quarter of them.
PAIRS = [
    (verb, link)
    for (i, verb), (j, link) in product(enumerate(VERBS), enumerate(LINKS))
    if verb == "resume" or (i + j) % 4 == 0
]


@pytest.mark.faults
@pytest.mark.parametrize(("verb", "link"), PAIRS)
def test_no_verb_goes_where_any_link_leads(place, shared_photos, run_verb, capsys, verb, link):
    attack(place, shared_photos, run_verb, capsys, verb, link)


def runs_away(place: Path) -> None:
    """Makes room for the next run."""
    (place / "run").rename(place / f"run{len(list(place.iterdir()))}")


def test_members_that_are_somebody_elses_are_not_deleted(place, shared_photos, run_verb, capsys):
    attack(place, shared_photos, run_verb, capsys, "resume", "members")
    assert (place / "out" / "1" / "a").read_text() == "precious out/1/a"


def test_python_is_refused_as_well(place, shared_photos):
    make_run(place, place / "run", "logs", "predict", shared_photos)
    with pytest.raises(BookclsError, match="logs is a link to "):
        bookcls.load(place / "run")


def test_report_looks_at_no_folder_through_a_link_and_writes_into_none(
    place, shared_photos, run_verb, capsys
):
    sweep = make_sweep(place / "sweep", shared_photos)
    (sweep / "report").symlink_to(place / "out")
    before = everything(place)
    assert run_verb(report.main, f"runs={sweep}") == 1
    assert f"{sweep / 'report'} is a link to {place / 'out'}" in capsys.readouterr().err
    (sweep / "report").unlink()
    run = next(path for path in sorted(sweep.iterdir()) if path.is_dir())
    (run / "config.yaml").unlink()
    (run / "config.yaml").symlink_to(place / "out" / "config.yaml")
    assert run_verb(report.main, f"runs={sweep}") == 1
    assert f"{run / 'config.yaml'} is a link to {place}" in capsys.readouterr().err
    assert everything(place / "out") == {
        key.removeprefix("out/"): value for key, value in before.items() if key.startswith("out/")
    }


@pytest.mark.parametrize("name", ["model.onnx", "cam"])
def test_what_stands_beside_a_lone_checkpoint_leads_nowhere(place, run_verb, capsys, name):
    alone = place / "alone"
    alone.mkdir()
    (alone / "model.ckpt").write_text("never read")
    (alone / name).symlink_to(place / "out" / "new")
    main = cam.main if name == "cam" else export.main
    words = ["images=" + str(place)] if name == "cam" else []
    (place / "photo.png").write_bytes(b"")
    before = everything(place)
    assert run_verb(main, f"ckpt={alone / 'model.ckpt'}", *words) == 1
    assert f"{alone / name} is a link to" in capsys.readouterr().err
    assert everything(place) == before


def test_fetch_writes_through_no_link(place, upstream, run_verb, capsys):  # noqa: F811
    output = place / "books"
    words = (f"source={upstream}", f"manifest={upstream / 'manifest.csv'}", f"output={output}")
    assert run_verb(fetch.main, *words, "size=full") == 0
    photo = next((output / "train" / CLASSES[0]).iterdir())
    photo.unlink()
    photo.parent.rename(place / "out" / "photos")
    photo.parent.symlink_to(place / "out" / "photos")
    before = everything(place)
    assert run_verb(fetch.main, *words, "size=full") == 1
    assert f"{photo.parent} is a link to" in capsys.readouterr().err
    assert everything(place) == before


@pytest.mark.parametrize("name", [".lock", "study.db", ".hydra/config.yaml"])
def test_a_file_with_a_second_name_is_not_written_in_place(place, photos, run_verb, capsys, name):
    run = place / "run"
    (run / name).parent.mkdir(parents=True)
    os.link(place / "out" / "file", run / name)
    before = everything(place)
    for main, words in (
        (tune.main, ("trials=1",)),
        (train.main, TINY),
    ):
        assert run_verb(main, f"data.root={photos}", *words, f"hydra.run.dir={run}") == 1
        assert f"{run / name} has another hard link" in capsys.readouterr().err
    with pytest.raises(BookclsError, match="has another hard link"), folders.locked(run):
        pass
    assert everything(place) == before


def test_what_is_replaced_as_a_whole_may_have_a_second_name(tmp_path):
    (tmp_path / "kept").write_text("kept")
    os.link(tmp_path / "kept", tmp_path / "metrics.json")
    files.write_text(tmp_path / "metrics.json", "new")
    assert (tmp_path / "kept").read_text() == "kept"


def test_a_link_that_awaits_a_temporary_file_is_not_written_through(tmp_path):
    (tmp_path / "kept").write_text("kept")
    (tmp_path / f".metrics.json.{os.getpid()}").symlink_to(tmp_path / "kept")
    files.write_text(tmp_path / "metrics.json", "new")
    assert (tmp_path / "kept").read_text() == "kept"
    assert (tmp_path / "metrics.json").read_text() == "new"
    assert not (tmp_path / "metrics.json").is_symlink()


def test_a_pipe_in_a_run_folder_is_named(tmp_path):
    (tmp_path / "logs").mkdir()
    os.mkfifo(tmp_path / "logs" / "metrics.csv")
    with pytest.raises(BookclsError, match=r"metrics.csv is neither a file nor a folder"):
        folders.refuse_links(tmp_path)


def test_links_that_stay_inside_are_let_pass(tmp_path):
    run = tmp_path / "runs" / "run"
    (run / "logs" / "version_0").mkdir(parents=True)
    (run / "a file").write_text("")
    for name, target in {
        "latest": "logs/version_0",
        "file": run / "a file",
        "itself": ".",
        "loop": "loop",
        "nowhere yet": "logs/new",
        "logs/up": "..",
        "logs/version_0/up": "../../../run/logs",
    }.items():
        (run / name).symlink_to(target)
    (tmp_path / "latest").symlink_to(run)
    for folder in (run, tmp_path / "latest", tmp_path / "latest" / "itself"):
        folders.refuse_links(folder)
    (run / "logs" / "version_0" / "deep").symlink_to(tmp_path)
    with pytest.raises(BookclsError, match="deep is a link"):
        folders.refuse_links(tmp_path / "latest")


def test_a_run_that_is_reached_through_a_link_goes_on(tmp_path, shared_photos, run_verb, narrow):
    words = (f"data.root={shared_photos}", *TINY, "optim.epochs=1", "data.val_fraction=0")
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    run = tmp_path / "runs" / "run"
    assert run_verb(train.main, *words, f"hydra.run.dir={run}") == 0
    (run / "metrics.json").unlink()
    (run / "as before").symlink_to("predictions.csv")
    assert run_verb(train.main, f"resume={run}") == 0
    assert run_verb(evaluate.main, f"ckpt={run}") == 0
    assert run_verb(report.main, f"runs={tmp_path / 'runs'}") == 0
    assert (tmp_path / "disk" / "report" / "report.html").is_file()


def test_a_deep_or_wide_folder_takes_no_time(tmp_path):
    for i in range(50):
        (tmp_path / "wide" / str(i)).mkdir(parents=True)
        for j in range(50):
            (tmp_path / "wide" / str(i) / str(j)).symlink_to(tmp_path / "wide")
    deep = [f"{tmp_path}{'/d' * depth}" for depth in range(1, 400)]
    for folder in deep:
        Path(folder).mkdir()
    began = time.process_time()
    folders.refuse_links(tmp_path)
    assert time.process_time() - began < 5

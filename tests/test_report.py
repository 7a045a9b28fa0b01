"""The report of small sweeps, whose run folders are written as training writes them."""

import base64
import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from benchmarks import study
from bookcls import environment, report, runs
from bookcls.data.dataset import read_folder
from bookcls.explaining import records
from bookcls.explaining.map_scores import FLAGS
from bookcls.pages.thumbnails import thumbnail
from bookcls.reporting import map_summary, plots
from bookcls.reporting.cells import make_cells
from bookcls.reporting.collect import find_runs
from bookcls.reporting.settings import ReportConfig
from bookcls.reporting.summary import summarise
from bookcls.reporting.tables import to_csv
from bookcls.storage.files import escape_field, write_json
from conftest import draw, make_photos, write_labels

AUG = dict.fromkeys(("hflip", "vflip", "rotate", "zoom", "erase", "mixup_alpha"), 0.0)
USUAL = {"hflip": 0.5, "vflip": 0.5, "rotate": 40.0, "zoom": 0.3, "erase": 0.5}
TURN = {"hflip": 0.0, "vflip": 0.0, "rotate": 180.0, "zoom": 0.5}
AUGS = {
    "none": AUG,
    "mixup": AUG | {"mixup_alpha": 0.2},
    "usual": AUG | USUAL,
    "all": AUG | USUAL | {"mixup_alpha": 0.2},
    "turn": AUG | USUAL | TURN | {"mixup_alpha": 0.2},
    "all, rotated more": AUG | USUAL | {"mixup_alpha": 0.2, "rotate": 90.0},
    "with scenes": AUG | USUAL | TURN | {"mixup_alpha": 0.2, "scenes": 0.5, "scene_unknown": 0.2},
}


def write_run(
    run: Path,
    photos: Path,
    *,
    aug: str = "none",
    seed: int = 0,
    skill: float = 0.5,
    source: str = "scratch",
    freeze_to: str | None = "auto",
    weights: str = "auto",
    commit: str = "a" * 40,
    sha256: str | None = None,
    overrides: Sequence[str] = (),
    finished: bool = True,
    **optim: float,
) -> Path:
    """A run folder in which a share ``skill`` of the photos, the first ones, is answered right."""
    folder = read_folder(photos, on_bad="error")
    config = {
        "data": {"root": str(photos), "image_size": 64, "num_workers": None},
        "model": {
            "pretrained": source != "scratch",
            "weights": weights,
            "freeze_to": freeze_to,
        },
        "aug": AUGS[aug],
        "optim": {"probe_epochs": 0 if source == "scratch" else 15, **optim},
        "trainer": {"precision": "auto"},
        "seed": seed,
        "resume": None,
    }
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (run / "logs/version_0").mkdir(parents=True)
    rows = [("epoch", "step", "train/loss", "val/loss")]
    rows += [(e, e, f"{1 / (e + 1):.3f}", "") for e in range(4)] + [(3, 3, "", "0.5")]
    with (run / "logs/version_0/metrics.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    environment = {
        "bookcls": "0.1.0",
        "git_commit": commit,
        "versions": {"torch": "2.15.0"},
        "precision": "32-true",
        "weights": {"source": source, "name": source, "sha256": sha256, "warning": ""},
        "dataset": {
            "root": str(photos),
            "fingerprint": folder.fingerprint(),
            "class_names": folder.class_names,
        },
        "freeze_to": None if freeze_to == "auto" else freeze_to,
        "overrides": list(overrides),
    }
    write_json(run / runs.ENVIRONMENT, environment)
    if not finished:
        return run
    rng = np.random.default_rng(seed)
    metrics, probs = {"seconds": 1.0}, {}
    for split, samples in folder.tests.items():
        probs[split] = []
        for i, sample in enumerate(samples):
            right = i < skill * len(samples)
            others = [c for c in range(len(folder.class_names)) if c not in sample.accepted]
            row = rng.random(len(folder.class_names)) * 0.3
            row[sample.accepted[0] if right else others[0]] += 1
            probs[split].append((row / row.sum()).tolist())
        pairs = list(zip(samples, probs[split], strict=True))
        correct = sum(int(np.argmax(row)) in sample.accepted for sample, row in pairs)
        metrics |= {f"test/{split}_n": len(samples), f"test/{split}_correct": correct}
        metrics[f"test/{split}_nll"] = 1 - skill
    runs.write_predictions(run / runs.PREDICTIONS, folder.class_names, folder.tests, probs)
    write_json(run / runs.METRICS, metrics)
    return run


def make_sweep(root: Path, photos: Path) -> Path:
    """Two augmentations and three seeds: a planted real difference of 17 of 20 photos."""
    for number, (aug, skill) in enumerate((("none", 0.1), ("all", 0.95))):
        for seed in range(3):
            write_run(
                root / f"{number}{seed}", photos, aug=aug, seed=seed, skill=skill,
                overrides=[f"aug={aug}", f"seed={seed}"],
            )  # fmt: skip
    return root


@pytest.fixture
def sweep(tmp_path, shared_photos):
    return make_sweep(tmp_path / "sweep", shared_photos)


@pytest.fixture(scope="module")
def reported(tmp_path_factory, shared_photos):
    """The report of such a sweep, which tests only read."""
    root = make_sweep(tmp_path_factory.mktemp("reported") / "sweep", shared_photos)
    report.report(ReportConfig(str(root)), root)
    return root / "report"


@pytest.fixture
def no_plots(monkeypatch):
    """Drawing takes a second, and most tests look at numbers."""
    monkeypatch.setattr(plots, "draw_all", lambda *_: {})


def cells_of(root: Path):
    return make_cells(find_runs(root).runs)


def results(output: Path) -> list[dict[str, str]]:
    with (output / "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_verb_writes_what_it_promises(sweep, run_verb, capsys):
    assert run_verb(report.main, f"runs={sweep}") == 0
    told = capsys.readouterr().out
    output = sweep / "report"
    assert {path.name for path in output.iterdir()} == {
        "results.csv", "results.md", "report.html", "ablation.png", "learning.png",
        "confusion_easy.png", "confusion_difficult.png",
    }  # fmt: skip
    assert str(output / "report.html") in told.replace("\n", "")
    assert "aug=all" in told
    first = results(output)[2]
    assert first["split"] == "difficult"
    assert first["cell"] == "aug=all"
    assert float(first["mean"]) == 0.95
    assert (first["floor"], first["floor_answer"]) == ("0.5", "blue")
    assert (first["strict_n"], first["num_seeds"], first["verdict"]) == ("15", "3", "best")
    assert float(first["nll"]) == pytest.approx(0.05)
    for name in ("ablation", "confusion_easy"):
        with Image.open(output / f"{name}.png") as image:
            assert min(image.size) > 200


def test_an_augmentation_that_the_study_had_not_stands_beside_its(sweep, shared_photos):
    # Whether a command line asked for it, as a sweep's does, or a yaml of the user's own.
    write_run(sweep / "turn", shared_photos, aug="turn", overrides=["aug=mine"])
    more = ["aug=all", "aug.rotate=90"]
    write_run(sweep / "more", shared_photos, aug="all, rotated more", overrides=more)
    write_run(sweep / "scenes", shared_photos, aug="with scenes", overrides=["aug=turn"])
    cells = {cell.facets["aug"]: i for i, cell in enumerate(cells_of(sweep))}
    names = ["none", "all", "all+rotate=90", "turn", "turn+scenes=0.5+scene_unknown=0.2"]
    assert list(cells) == names
    labels = [cell.label for cell in cells_of(sweep)]
    assert labels == [f"aug={name}" for name in names]


def test_an_ensemble_is_one_run_without_its_members(tmp_path, shared_photos):
    run = write_run(tmp_path / "ensemble", shared_photos, skill=0.9)
    for seed in range(2):
        write_run(run / "members" / str(seed + 1), shared_photos, seed=seed)
    write_run(tmp_path / "members" / "mine", shared_photos, seed=5)
    write_run(tmp_path / "stopped", shared_photos, finished=False)
    write_run(tmp_path / "stopped" / "members" / "1", shared_photos)
    found = find_runs(tmp_path)
    assert [one.name for one in found.runs] == ["ensemble", "members/mine"]
    assert found.unfinished == ["stopped"]
    assert [one.name for one in find_runs(run / "members").runs] == ["1", "2"]


def test_a_report_does_not_report_on_itself(sweep, run_verb, no_plots):
    for _ in range(2):
        assert run_verb(report.main, f"runs={sweep}") == 0
    assert len(results(sweep / "report")) == 4


def test_output_elsewhere(sweep, run_verb, tmp_path, no_plots):
    assert run_verb(report.main, f"runs={sweep}", f"output={tmp_path / 'my report'}") == 0
    assert (tmp_path / "my report" / "report.html").is_file()
    assert not (sweep / "report").exists()


def test_a_planted_difference_is_one_and_a_useless_one_a_tie(sweep, shared_photos):
    for seed in range(3):
        write_run(
            sweep / f"2{seed}", shared_photos, aug="usual", seed=seed, skill=0.85 + 0.05 * seed
        )
    table = summarise(cells_of(sweep))
    found = {row.cell.label: row.verdict for row in table["difficult"]}
    assert found == {"aug=all": "best", "aug=usual": "tie", "aug=none": "worse"}
    # Six photos cannot tell anything apart by Holm's measure.
    assert {row.verdict for row in table["easy"]} == {"best", "tie"}


def test_no_lone_winner_in_bold(reported):
    text = (reported / "results.md").read_text(encoding="utf-8")
    assert "**" not in text
    assert "| above the others |" in text


def test_a_report_shows_no_results_but_those_of_its_runs(reported):
    for name in ("report.html", "results.md"):
        assert "study" not in (reported / name).read_text(encoding="utf-8").lower()


def test_the_figures_of_the_docs_show_the_study_beside_the_runs(sweep, tmp_path, shared_photos):
    write_run(sweep / "turn", shared_photos, aug="turn", overrides=["aug=turn"], lr=0.5)
    cells = {cell.facets["aug"]: cell for cell in cells_of(sweep)}
    shown = {aug: study.published(cell, "difficult") for aug, cell in cells.items()}
    assert shown == {"none": 0.10, "all": 0.65, "turn": None}
    study.main([str(sweep), "--output", str(tmp_path)])
    layers = ("input", "block2_conv1", "block4_conv1")
    for number, layer in enumerate(layers):
        write_run(tmp_path / "freeze" / str(number), shared_photos, freeze_to=layer)
    study.main([str(tmp_path / "freeze"), "--output", str(tmp_path)])
    for name in ("ablation.png", "freeze.png"):
        with Image.open(tmp_path / name) as image:
            assert min(image.size) > 200


def test_labels_hold_what_differs_and_no_more(tmp_path, shared_photos):
    for number, source in enumerate(("scratch", "rendered")):
        for aug in ("none", "all"):
            write_run(tmp_path / f"{number}{aug}", shared_photos, aug=aug, source=source)
    assert [cell.label for cell in cells_of(tmp_path)] == [
        "weights=scratch aug=none",
        "weights=scratch aug=all",
        "weights=rendered aug=none",
        "weights=rendered aug=all",  # not optim.probe_epochs, which follows from the weights
    ]


def test_weights_that_were_found_and_asked_for_are_the_same(tmp_path, shared_photos):
    for seed, weights in enumerate(("auto", "rendered")):
        write_run(tmp_path / weights, shared_photos, source="rendered", weights=weights, seed=seed)
    assert [cell.seeds for cell in cells_of(tmp_path)] == [[0, 1]]


def test_a_setting_that_was_asked_for_is_in_the_label(tmp_path, shared_photos):
    for aug, lr in (("none", 0.1), ("all", 0.2)):
        words = [f"aug={aug}", f"optim.lr={lr}"]
        write_run(tmp_path / aug, shared_photos, aug=aug, lr=lr, overrides=words)
    labels = [cell.label for cell in cells_of(tmp_path)]
    assert labels == ["aug=none optim.lr=0.1", "aug=all optim.lr=0.2"]


def test_other_code_weights_and_fewer_seeds_are_marked_not_mixed(sweep, shared_photos):
    write_run(sweep / "code", shared_photos, aug="all", seed=3, commit="b" * 40)
    for seed in range(3):
        write_run(sweep / f"w{seed}", shared_photos, source="rendered", seed=seed, sha256="1" * 64)
    write_run(sweep / "weights", shared_photos, source="rendered", seed=3, sha256="2" * 64)
    cells = cells_of(sweep)
    assert [len(cell.runs) for cell in cells] == [3, 3, 1, 3, 1]
    assert cells[2].marks == ["1 seed of 3", "other code: 0.1.0 bbbbbbb"]
    assert cells[4].marks == ["1 seed of 3", "other weights: rendered 2222222"]
    assert not cells[0].marks + cells[1].marks + cells[3].marks


def test_cells_on_other_photos_are_not_compared(sweep, tmp_path):
    other = make_photos(tmp_path / "other")
    labels = [(f"{i:02d}.png", "red", "red") for i in range(20)]
    write_labels(other / "test_difficult", labels)
    write_run(sweep / "other", other, aug="usual", skill=1.0)
    table = summarise(cells_of(sweep))
    last = table["difficult"][-1]
    assert (last.cell.facets["aug"], last.verdict, last.p) == ("usual", "apart", None)
    assert last.cell.marks[-1].startswith("other data")
    assert {row.verdict for row in table["easy"]} == {"best", "tie"}  # these photos are the same


def test_of_two_runs_of_a_seed_the_newer_counts(sweep, shared_photos, run_verb, no_plots):
    again = write_run(sweep / "again", shared_photos, aug="all", seed=0, skill=0.5)
    os.utime(again / runs.METRICS, (4e9, 4e9))
    run_verb(report.main, f"runs={sweep}")
    row = results(sweep / "report")[2]
    assert row["accuracy_by_seed"] == "0.5 0.95 0.95"
    text = (sweep / "report" / "results.md").read_text(encoding="utf-8")
    assert "the same seed was run again later (1): 10" in text


def test_unfinished_and_untested_runs_are_named(sweep, shared_photos, run_verb, capsys, no_plots):
    write_run(sweep / "half", shared_photos, seed=7, finished=False)
    (write_run(sweep / "untested", shared_photos, seed=8) / runs.PREDICTIONS).unlink()
    assert run_verb(report.main, f"runs={sweep}") == 0
    told = capsys.readouterr().out
    assert "unfinished (1): half" in told
    assert "no test photos (1): untested" in told
    assert [row["num_seeds"] for row in results(sweep / "report")] == ["3"] * 4


def test_pools_name_the_next_conv_and_the_curve_is_drawn(tmp_path, shared_photos, run_verb):
    layers = ("input", None, "block1_pool", "block2_conv1", "block4_conv1", "head", "block5_pool")
    for number, layer in enumerate(layers):
        write_run(tmp_path / str(number), shared_photos, freeze_to=layer, seed=number, skill=0.6)
    assert [(cell.label, cell.seeds) for cell in cells_of(tmp_path)] == [
        ("freeze_to=input", [0, 1]),
        ("freeze_to=block2_conv1", [2, 3]),
        ("freeze_to=block4_conv1", [4]),
        ("freeze_to=head", [5, 6]),
    ]
    run_verb(report.main, f"runs={tmp_path}")
    assert (tmp_path / "report" / "freeze.png").is_file()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("predictions.csv", "split,file\ntest_easy", "a row is incomplete or not a number"),
        ("predictions.csv", "", "it has no rows"),
        ("metrics.json", "{", "cannot be read"),
        ("metrics.json", '{"test/easy_n": 5, "test/easy_correct": 1}', "does not match"),
        ("environment.json", "[]", "does not contain a json object"),
        ("environment.json", "{}", "KeyError"),
        ("config.yaml", "a: [", "is damaged"),
        ("config.yaml", "a: 2001-99-99", "is damaged"),
        ("logs/version_0/metrics.csv", "epoch,val/loss\n1,oh", "a row is incomplete"),
        ("logs/version_0/metrics.csv", "epoch\n" + "1" * 200_000, "a row is incomplete"),
    ],
)
def test_damaged_files_end_in_one_sentence(sweep, run_verb, capsys, name, text, message):
    (sweep / "01" / name).write_text(text)
    assert run_verb(report.main, f"runs={sweep}") == 1
    error = capsys.readouterr().err
    assert error.startswith("bookcls: error: ")
    assert error.count("\n") == 1
    assert message in error
    assert "01" in error
    assert not (sweep / "report").exists()


def explained(run: Path, inside: float, *, preds: str | None = None) -> None:
    """What ``cam`` leaves in a run folder: right answers are measured, with a share inside."""
    with (run / runs.PREDICTIONS).open(newline="", encoding="utf-8") as file:
        rows = [
            {
                "split": row["split"],
                "file": row["file"],
                "pred": preds or row["pred"],
                "flag": "right" if right else "wrong",
                "inside": inside if right else None,
                "hit": 1 if right else None,
                **{key: 0.25 for key in ("random_inside", "random_hit")},
                **{key: 0.5 for key in ("centre_inside", "centre_hit")},
                **dict.fromkeys(
                    ("road", "road_random", "prob", "blurred_prob", "blurred_random_prob", "area")
                ),
                "empty": 0,
                "same_on_background": 0,
                "maps": {},
            }
            for row in csv.DictReader(file)
            for right in [row["pred"] in row["accepted"].split(";")]
        ]
    records.write(
        run / runs.CAM, {run.name: rows}, {"made": {run.name: "gradcam at 128 px"}, "unsure": 0.5}
    )


def test_flags_are_those_of_cam():
    assert set(map_summary.FLAGS) == set(FLAGS)
    assert set(map_summary.MEANS) <= set(records.summarise([]))


def test_what_the_runs_looked_at_stands_beside_its_floors(sweep, no_plots, run_verb, capsys):
    for number, inside in (("00", 0.2), ("10", 0.4), ("11", 0.6)):
        explained(sweep / number, inside)
    explained(sweep / "12", 0.9, preds="none of them")  # about answers that are others by now
    assert run_verb(report.main, f"runs={sweep}") == 0
    told = (sweep / "report" / "results.md").read_text(encoding="utf-8")
    (difficult,) = re.findall(
        r"## What they looked at: difficult\n\n(.+?)\n\n- gradcam", told, re.S
    )
    heads, _, none, best = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in difficult.splitlines()
    )
    line = dict(zip(heads, best, strict=True))
    assert (line["seeds"], line["measured"]) == ("2", "38")  # 19 of 20 photos, twice
    assert line["inside (random, centre)"] == "0.50, 0.40 - 0.60 (0.25, 0.50)"
    assert line["peak (random, centre)"] == "1.00, 1.00 - 1.00 (0.25, 0.50)"
    assert line["right / wrong reason / unsure / wrong"] == "38 / 0 / 0 / 2"
    assert none[:3] == ["aug=none", "1", "2"]
    assert none[3] == "0.20 (0.25, 0.50)"
    assert "- maps not counted, they explain other predictions (1): 12" in told
    page = (sweep / "report" / "report.html").read_text(encoding="utf-8")
    assert "0.50, 0.40 - 0.60 (0.25, 0.50)" in page
    (sweep / "10" / runs.CAM / runs.CAM_JSON).write_text("{}")
    capsys.readouterr()
    assert run_verb(report.main, f"runs={sweep}") == 1
    error = capsys.readouterr().err
    assert "cam.json is damaged (KeyError: 'runs'): delete it, or create it again with" in error


def test_what_cannot_be_reported_on(tmp_path, run_verb, capsys, shared_photos):
    assert run_verb(report.main) == 1
    assert "runs=" in capsys.readouterr().err
    assert run_verb(report.main, f"runs={tmp_path}/no") == 1
    assert "there is no such folder" in capsys.readouterr().err
    assert run_verb(report.main, f"runs={shared_photos}") == 1
    assert "contains no run" in capsys.readouterr().err
    write_run(tmp_path / "half", shared_photos, finished=False)
    assert run_verb(report.main, f"runs={tmp_path}") == 1
    assert "1 runs, none finished" in capsys.readouterr().err


HOSTILE = ("$x_1$ | 写真", "<script>alert(1)<", "=1+1")


def hostile_photos(photos: Path) -> Path:
    """Photos whose names are meant as html, Markdown, mathematics and formulas."""
    classes = (*HOSTILE[1:], HOSTILE[0])
    for number, name in enumerate(classes):
        for i in range(2):
            draw(photos / "train" / name / f"{i}.png", (90, 40 * number, 90), 10 * number + i)
    rows = [(f"<img src=x onerror=alert({i})>.png", name, name) for i, name in enumerate(classes)]
    for number, (file, *_) in enumerate(rows):
        draw(photos / "test" / file, (90, 40 * number, 90), 100 + number)
    write_labels(photos / "test", rows)
    return photos


@pytest.fixture
def hostile(tmp_path):
    """A sweep on such photos."""
    photos = hostile_photos(tmp_path / "photos")
    for seed in range(2):
        write_run(tmp_path / "hostile" / f"<b>{seed}", photos, seed=seed, skill=0.4)
    return tmp_path / "hostile"


class Tags(HTMLParser):
    """Counts elements and collects what they refer to."""

    def __init__(self):
        super().__init__()
        self.tags, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "xlink:href", "action")]


def test_names_are_shown_not_run(hostile, run_verb):
    assert run_verb(report.main, f"runs={hostile}") == 0
    page = (hostile / "report" / "report.html").read_text(encoding="utf-8")
    parsed = Tags()
    parsed.feed(page)
    assert parsed.tags.count("script") == 2
    assert "img" not in parsed.tags
    assert "b" not in parsed.tags
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1))
    assert data["photos"][0][1] == "<img src=x onerror=alert(0)>.png"
    assert len(data["thumbs"]) == 3
    row = results(hostile / "report")[0]
    assert row["floor_answer"] == "$x_1$ | 写真"
    text = (hostile / "report" / "results.md").read_text(encoding="utf-8")
    assert r"always $x\_1$ \| 写真" in text
    assert "<b>" not in text


def test_formulas_are_text(hostile):
    assert [escape_field(v) for v in ("=1", "+1", "-1", "@a", "\ta", "a=1")] == [
        "'=1", "'+1", "'-1", "'@a", "'\ta", "a=1",
    ]  # fmt: skip
    cells = cells_of(hostile)
    cells[0].label = "=HYPERLINK()"
    assert ",'=HYPERLINK()," in to_csv(summarise(cells))


def test_nothing_comes_from_elsewhere(reported):
    page = (reported / "report.html").read_text(encoding="utf-8")
    assert "//" not in re.sub(r"data:image/jpeg;base64,[\w+/=]+|// .*", "", page)
    assert "@import" not in page
    parsed = Tags()
    parsed.feed(page)
    assert all(address.startswith(("#", "data:")) for address in parsed.addresses)
    assert "link" in parsed.tags  # the empty icon, which browsers would ask for otherwise


def test_each_photo_is_in_the_page_once(reported):
    page = (reported / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 26
    assert len(page) < 400_000


def test_thumbnails_carry_no_words(tmp_path):
    (tmp_path / "test").mkdir()
    Image.new("RGB", (300, 200)).save(tmp_path / "test" / "a.jpg", comment=b"at home")
    address = thumbnail(tmp_path, "test", "a.jpg")
    assert b"at home" not in base64.b64decode(address.partition(",")[2])


def test_more_series_than_colours_are_all_drawn(shared_photos, tmp_path):
    for number in range(8):
        for layer in ("input", "block3_conv1", "head"):
            write_run(
                tmp_path / f"{number}{layer}", shared_photos, freeze_to=layer, lr=0.1 * number,
                overrides=[f"optim.lr={number}"],
            )  # fmt: skip
    cells = cells_of(tmp_path)
    axes = plots.draw_freeze_curve(cells, summarise(cells)).axes[0]
    lines = [line for line in axes.lines if line.get_label().startswith("optim.lr")]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 8


def test_the_commit_is_that_of_the_code(tmp_path, monkeypatch):
    def git(*words):
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *who, *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        git("add", ".")
        git("commit", "-qm", path)
        return git("rev-parse", "HEAD")

    monkeypatch.setattr(environment, "__file__", str(tmp_path / "src/bookcls/environment.py"))
    assert environment.git_commit() is None
    git("init", "-q")
    commit("src/bookcls/environment.py", "")
    code = commit("conf/train.yaml", "")
    commit("README.md", "")
    assert environment.git_commit() == code
    (tmp_path / "README.md").write_text("more")
    assert environment.git_commit() == code
    (tmp_path / "conf/train.yaml").write_text("more")
    assert environment.git_commit() == f"{code}+changes"


def test_photos_that_are_gone_leave_their_name(run_verb, tmp_path, no_plots):
    moved = make_photos(tmp_path / "moved")
    write_run(tmp_path / "one" / "run", moved)
    shutil.rmtree(moved)
    assert run_verb(report.main, f"runs={tmp_path / 'one'}") == 0
    page = (tmp_path / "one" / "report" / "report.html").read_text(encoding="utf-8")
    assert "data:image/jpeg" not in page
    assert '"00.png"' in page


def test_torch_is_not_needed(sweep, tmp_path):
    code = (
        "import sys, bookcls.report as verb\n"
        f"sys.argv = ['bookcls', {f'runs={sweep}'!r}]\nverb.main()\n"
        "print(sorted(set(sys.modules) & {'torch', 'pytorch_lightning', 'matplotlib.pyplot'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_in_a_browser(sweep, hostile, run_verb, tmp_path, width, scheme):
    """Clicks lead to photos; nothing is asked of a server, nothing is complained of."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    for word in (
        "headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking",
        "disable-component-update", "disable-sync", f"user-data-dir={tmp_path / 'profile'}",
    ):  # fmt: skip
        options.add_argument(f"--{word}")
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        for root in (sweep, hostile):
            run_verb(report.main, f"runs={root}")
            browser.get((root / "report" / "report.html").as_uri())
            look_at(browser, width)
        log = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        asked = [m["params"]["request"]["url"] for m in log if m["method"].endswith("WillBeSent")]
        # Chromium opens with a page of its own.
        assert {url.partition(":")[0] for url in asked} <= {"file", "data", "chrome"}
        assert not browser.get_log("browser")
    finally:
        browser.quit()


def look_at(browser, width: int) -> None:
    """Goes through the page as a reader would."""

    def all_of(selector):
        return browser.find_elements("css selector", selector)

    def click(element):
        browser.execute_script("arguments[0].click()", element)

    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    rows = all_of("#results button[data-cell]")
    click(rows[-1])
    assert rows[-1].text.split()[0] in browser.find_element("id", "shown").text
    total = len(all_of(".card"))
    assert total
    images = "return [...document.images].every(i => i.complete ? i.naturalWidth > 0 : true)"
    assert browser.execute_script(images)
    counts = all_of("#confusion td button")
    click(counts[0])
    pressed = all_of("#confusion button[aria-pressed=true]")
    assert len(pressed) == 1
    chosen = len(all_of(".card"))
    assert 0 < chosen < total
    assert chosen <= int(pressed[0].text)
    click(pressed[0])
    assert len(all_of(".card")) == total
    click(all_of(".card")[0])
    assert browser.find_element("id", "photo").is_displayed()
    assert len(all_of("#photo tbody tr")) >= 1
    click(all_of("#photo .close")[0])
    assert not browser.find_element("id", "photo").is_displayed()

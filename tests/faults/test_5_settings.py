"""Promise 5: what a stranger's run folder says reaches no secret, no other photo, no terminal."""

import json
import re
import shutil
import sqlite3
import sys
import time

import pytest
from rich.console import Console
from rich.table import Table

from bookcls import report, train, tune
from bookcls.command.terminal import escape_controls, escape_output
from bookcls.config import read_config, to_dataclass, to_yaml
from bookcls.errors import BookclsError
from bookcls.settings import TrainConfig
from bookcls.tuning.space import Dimension
from bookcls.tuning.study import DamagedError, Study
from conftest import draw
from test_config import composed
from test_report import write_run

BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)


def open_study(run):
    dimension = Dimension("optim.lr", 1e-4, 1e-2, log=True)
    return Study(run, [dimension], {"optim.lr": 2e-4}, [[0], [1]], 2, seed=0)


@pytest.mark.parametrize("name", ["a?b", "a%41b", "a#b", "a{b}", "写真 &=;"])
def test_a_study_is_in_its_own_folder_whatever_its_name(tmp_path, name):
    run = tmp_path / name
    run.mkdir()
    study = open_study(run)
    asked, _ = study.ask()
    study.tell(asked, "complete", [[1.0], [1.0]], [[True], [True]], 1.0)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert [path.name for path in run.iterdir()] == ["study.db"]
    assert len(open_study(run).trials()) == 1


@pytest.mark.parametrize("record", ["{}", "7", "null", "no json", '{"nll": 3, "correct": []}'])
def test_a_damaged_record_in_a_study_is_a_sentence(tmp_path, record):
    study = open_study(tmp_path)
    asked, _ = study.ask()
    study.tell(asked, "complete", [[1.0], [1.0]], [[True], [True]], 1.0)
    with sqlite3.connect(tmp_path / "study.db") as database:
        database.execute(
            "update trial_user_attributes set value_json = ? where key = 'record'", (record,)
        )
    with pytest.raises(DamagedError, match=r"study\.db is damaged \("):
        open_study(tmp_path)


SECRETS = (
    ("seed: ${oc.env:BOOKCLS_SECRET}", "interpolation ${oc.env:BOOKCLS_SECRET}"),
    ("data: {root: 'a${oc.env:BOOKCLS_SECRET}'}", "interpolation a${oc.env:BOOKCLS_SECRET}"),
    (BOMB, "anchor &a0"),
    ("a: *b", "alias *b"),
    ("a: " + "[" * 30 + "]" * 30, "21 levels deep"),
    ("#" * 300_000, "300,000 bytes"),
)


@pytest.mark.parametrize(("text", "said"), SECRETS, ids=range(len(SECRETS)))
def test_settings_are_values_only(
    shared_photos, tmp_path, run_verb, capsys, monkeypatch, text, said
):
    monkeypatch.setenv("BOOKCLS_SECRET", "hunter2")
    run = write_run(tmp_path / "runs" / "run", shared_photos)
    (run / "config.yaml").write_text(text, encoding="utf-8")
    begin = time.process_time()
    with pytest.raises(BookclsError, match=re.escape(said)):
        read_config(run / "config.yaml")
    assert run_verb(report.main, f"runs={tmp_path / 'runs'}") == 1
    (run / "metrics.json").unlink()
    for main in (train.main, tune.main):
        assert run_verb(main, f"resume={run}") == 1
    shown = "".join(capsys.readouterr())
    assert shown.count(said) == 3
    assert "hunter2" not in shown
    assert time.process_time() - begin < 5


def test_a_strangers_address_is_not_asked(tmp_path):
    address = "http://127.0.0.1:9/steal"
    words = ("data.root=/x", "logger=mlflow")
    config = to_dataclass(composed(*words, f"logger.tracking_uri={address}"), TrainConfig)
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    with pytest.raises(BookclsError, match=re.escape(f"logger.tracking_uri={address} is not")):
        train.saved_config(tmp_path, config, set())
    used = train.saved_config(tmp_path, config, {"logger.tracking_uri"})
    assert used.logger.tracking_uri == address
    local = to_dataclass(composed(*words), TrainConfig)
    (tmp_path / "config.yaml").write_text(to_yaml(local))
    assert train.saved_config(tmp_path, config, set()) == local


def shown_photos(runs):
    page = (runs / "report" / "report.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1))
    return [photo[1] for photo in data["photos"] if photo[4] >= 0], page


def name_in_predictions(run, file):
    """Puts another file in the place of the first."""
    rows = (run / "predictions.csv").read_text(encoding="utf-8").splitlines()
    fields = rows[1].split(",")
    rows[1] = ",".join([fields[0], file, *fields[2:]])
    (run / "predictions.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def test_a_page_shows_no_photo_outside_the_runs_data(photos, tmp_path, run_verb):
    secret = draw(tmp_path / "private" / "secret.png", (1, 2, 3), 1)
    for split in ("test_easy", "test_difficult"):
        (photos / split / "link.png").symlink_to(secret)
        (photos / split / "within.png").symlink_to(photos / "test_easy" / "red" / "0.png")
    for number, file in enumerate((str(secret), "../../private/secret.png", "link.png")):
        run = write_run(tmp_path / "runs" / str(number) / "run", photos)
        name_in_predictions(run, file)
        assert run_verb(report.main, f"runs={run.parent}", f"data.root={photos}") == 0
        files, page = shown_photos(run.parent)
        assert file not in files
        assert f"outside the folder of their run&#39;s photos (1): {file}" in page
        assert len(files) == 25
    name_in_predictions(run, "within.png")
    run_verb(report.main, f"runs={run.parent}", f"data.root={photos}")
    assert "within.png" in shown_photos(run.parent)[0]


def test_a_page_shows_no_folder_that_only_a_stranger_names(photos, tmp_path, run_verb, capsys):
    run = write_run(tmp_path / "runs" / "run", photos)
    assert run_verb(report.main, f"runs={run.parent}") == 0
    assert len(shown_photos(run.parent)[0]) == 26
    private = shutil.copytree(photos, tmp_path / "private")
    draw(private / "test_easy" / "red" / "0.png", (9, 9, 9), 99)
    environment = json.loads((run / "environment.json").read_text())
    environment["dataset"]["root"] = str(private)
    (run / "environment.json").write_text(json.dumps(environment))
    assert run_verb(report.main, f"runs={run.parent}") == 0
    files, page = shown_photos(run.parent)
    assert not files
    assert "photos not shown" in page
    assert "photos not shown: what is in" in capsys.readouterr().out
    assert run_verb(report.main, f"runs={run.parent}", f"data.root={private}") == 0
    assert len(shown_photos(run.parent)[0]) == 26
    assert run_verb(report.main, f"runs={run.parent}", "data.root=/no/such") == 1


NAME = "red\x1b]0;title\x07\x1b[2K\x9b1A\u202egnp"


def test_names_do_not_control_the_terminal(capsys):
    with escape_output():
        print(NAME, file=sys.stdout)
        print(NAME, file=sys.stderr)
        table = Table("name")
        table.add_row(NAME)
        Console(width=120).print(table)
        Console(width=120, force_terminal=True).print(f"[bold]{NAME}")
    out, err = capsys.readouterr()
    out = re.sub(r"\x1b\[[0-9;]*m", "", out)
    assert escape_controls(out + err) == out + err
    assert err == f"{escape_controls(NAME)}\n"
    assert out.count(r"\x1b]0;title\x07\x1b[2K\x9b1A") == 3
    print(NAME)
    assert NAME in capsys.readouterr().out


@pytest.mark.parametrize("text", ["1e9", "7", "true", "- a"])
def test_a_file_without_settings_is_damaged(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(BookclsError, match="is damaged"):
        read_config(path)

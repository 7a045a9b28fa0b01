"""Sweeps: their jobs, which of them run again, and what an interruption or a failure costs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torchvision
from filelock import FileLock
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn, JobStatus
from joblib.externals.loky.process_executor import TerminatedWorkerError

from bookcls import train
from bookcls.command.messages import explain_error
from bookcls.config import conf_dir, register_resolvers, to_dataclass
from bookcls.errors import BookclsError
from bookcls.models.layers import CONV_INDEX, NAMES
from bookcls.models.start import resolve
from bookcls.settings import LoggerConfig, TrainConfig
from bookcls.sweeping import jobs, workers
from bookcls.sweeping.sweep import Sweep, list_jobs
from bookcls.training import trackers
from bookcls.training.classifier import Classifier
from bookcls.training.recipe import with_start
from bookcls.training.run import read_origin
from conftest import NARROW, TINY

FOUR = ("aug=none,mixup", "seed=0,1")


@pytest.fixture(scope="module", autouse=True)
def narrow():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(torchvision.models.vgg.cfgs, "D", NARROW)
        yield


def composed(*overrides: str):
    GlobalHydra.instance().clear()
    register_resolvers()
    initialize_config_dir(str(conf_dir("train")), version_base="1.3")
    config = compose("train", overrides=list(overrides), return_hydra_config=True)
    config.hydra.overrides.task = list(overrides)
    return config


@pytest.fixture(scope="module")
def settings() -> dict:
    config = composed("data.root=x")
    del config.hydra
    # As what training starts from decides.
    decided = with_start(to_dataclass(config, TrainConfig), resolve(None))
    return asdict(decided)


def key(settings: dict, photos: str = "p", weights: str = "scratch", **changes) -> str:
    changed = settings | {
        group: settings[group] | values if isinstance(values, dict) else values
        for group, values in changes.items()
    }
    return jobs.job_key(changed, photos, weights)


def results(folder: Path) -> dict[str, tuple]:
    """Key -> scores and predictions of each finished job."""
    found = {}
    for path in folder.glob("*/metrics.json"):
        metrics = json.loads(path.read_text())
        del metrics["seconds"]
        found[path.parent.name] = metrics, (path.parent / "predictions.csv").read_text()
    return found


def last_command(folder: Path) -> list[dict]:
    lines = jobs.read_records(folder)
    return [line for line in lines if line["command"] == lines[-1]["command"]]


def test_the_named_sweeps_are_those_of_the_study():
    ablation = list_jobs(composed("sweep=ablation"))
    assert len(set(ablation)) == len(ablation) == 24
    table = {words.removeprefix("seed=0 ") for words in ablation[:8]}
    assert {f"model.pretrained={p} aug={a}" for p in (False, True)
            for a in ("none", "mixup", "usual", "all")} == table  # fmt: skip
    config = composed("sweep=freeze")
    assert config.model.pretrained
    freeze = list_jobs(config)
    points = {words.rpartition("=")[2] for words in freeze}
    assert len(freeze) == 42
    assert points == {*CONV_INDEX, "head"}


def test_the_command_line_narrows_a_sweep():
    config = composed("sweep=ablation", "model.pretrained=true")
    config.hydra.overrides.task = ["sweep=ablation", "model.pretrained=true", "aug=none,all"]
    assert list_jobs(config) == [f"seed={s} aug={a}" for s in range(3) for a in ("none", "all")]


def test_a_key_tells_apart_what_decides_a_result_and_nothing_else(settings):
    base = key(settings)
    assert len(base) == 12
    same = (
        {"data": {"num_workers": 3}},
        {"data": {"root": "y"}},
        {"data": {"cache_mb": 1}},
        {"trainer": {"accelerator": "cpu"}},
        {"resume": "run"},
        {"aug": {"scene_unknown": 0.2}},  # without scenes
    )
    assert {key(settings, **changes) for changes in same} == {base}
    other = (
        {"seed": 1},
        {"aug": {"mixup_alpha": 0.2}},
        {"aug": {"scenes": 0.5}},
        {"aug": {"scenes": 0.5, "scene_unknown": 0.2}},
        {"optim": {"lr": 1e-3}},
        {"data": {"image_size": 64}},
        {"trainer": {"precision": "32-true"}},
        {"photos": "q"},
        {"model": {"pretrained": True}, "weights": "imagenet a"},
        {"model": {"pretrained": True}, "weights": "file a"},
        {"model": {"pretrained": True}, "weights": "file b"},
    )
    assert len({base, *(key(settings, **changes) for changes in other)}) == 1 + len(other)


def test_points_that_train_the_same_layers_are_one_job(settings):
    keys = {name: key(settings, model={"freeze_to": name}) for name in (*NAMES, None, 17)}
    assert keys["input"] == keys["block1_conv1"] == keys[None]
    assert keys["block3_pool"] == keys["block4_conv1"] == keys[17]
    assert keys["block5_pool"] == keys["head"]
    assert len(set(keys.values())) == 14


@pytest.fixture(scope="module")
def swept(shared_photos, tmp_path_factory):
    """A finished sweep of two jobs, and its command."""
    folder = tmp_path_factory.mktemp("sweep") / "s"
    words = (f"data.root={shared_photos}", *TINY, "seed=0",
             f"hydra.sweep.dir={folder}")  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        GlobalHydra.instance().clear()
        patch.setattr(sys, "argv", ["bookcls", "-m", "aug=none,mixup", *words])
        train.main()
    return folder, words


def test_a_job_is_a_run_folder_named_by_its_key(swept):
    folder, _ = swept
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert names == {
        "jobs.jsonl",
        "multirun.yaml",
        *(line["key"] for line in last_command(folder)),
    }
    for line in last_command(folder):
        assert line["outcome"] == "ran"
        run = folder / line["key"]
        environment = json.loads((run / "environment.json").read_text())
        assert environment["job"] == line["key"]
        assert {line["words"], "trainer=cpu", "optim.epochs=2"} <= set(environment["overrides"])
        assert not [path.name for path in run.iterdir() if path.name.startswith(".")]


def test_finished_jobs_are_not_run_again_however_they_are_asked_for(
    swept, run_verb, monkeypatch, capsys
):
    folder, words = swept
    monkeypatch.setattr(train, "fit", lambda *args, **kwargs: pytest.fail("it trains again"))
    named = ("sweep=ablation", "aug=none,mixup", "model.pretrained=false", "data.num_workers=1")
    assert run_verb(train.main, *named, *words) == 0
    out = capsys.readouterr().out
    assert "job 1 of 2  aug=none: done before, difficult " in out
    assert "2 jobs: 2 done before\n" in out
    assert f"-m bookcls.report runs={folder}" in out


def test_hydras_subdir_is_not_the_folder_of_a_job(swept, run_verb, monkeypatch, capsys):
    folder, words = swept
    monkeypatch.setattr(train, "fit", lambda *args, **kwargs: pytest.fail("it trains again"))
    subdir = "hydra.sweep.subdir=job${hydra.job.num}"
    assert run_verb(train.main, "-m", "aug=none,mixup", subdir, *words) == 0
    assert "2 jobs: 2 done before\n" in capsys.readouterr().out
    assert not list(folder.glob("job[0-9]*"))


def test_older_runs_call_their_job_a_cell(tmp_path):
    path = tmp_path / "environment.json"
    for name in ("cell", "job"):
        path.write_text(json.dumps({"overrides": ["seed=1"], name: "0123", "device": "cpu"}))
        assert read_origin(tmp_path) == {"overrides": ["seed=1"], "job": "0123"}


@pytest.mark.parametrize(("wanted", "at_once"), [(-1000, 1), (1, 1), (2, 2), (9, 4)])
def test_at_least_one_job_runs_at_once(wanted, at_once):
    sweep = Sweep()
    config = composed("hydra/launcher=joblib", f"hydra.launcher.n_jobs={wanted}")
    config.hydra.overrides.task = ["seed=0,1,2,3"]
    sweep.on_multirun_start(config)
    assert sweep.num_parallel == at_once


def test_a_damaged_record_loses_the_damaged_lines_only(tmp_path):
    job = jobs.Job(tmp_path, "now", 1, 3, "seed=0")
    jobs.append_record(job, None)
    with (tmp_path / jobs.RECORD).open("ab") as file:
        file.write(b'\xe9\xff\n{"command": "no')
    job.outcome = "failed"
    jobs.append_record(job, "no photo \udce9 of \u66f8")
    first, second = jobs.read_records(tmp_path)
    assert (first["error"], second["error"]) == (None, "no photo \udce9 of \u66f8")
    text, complete = jobs.summarise(tmp_path, "now", 3)
    assert text.endswith(", 1 lost")
    assert not complete


def test_an_error_without_a_message_is_an_error(tmp_path):
    assert explain_error(OSError(), "train") == "OSError"
    jobs.current = jobs.Job(tmp_path, "now", 1, 1, "seed=0")
    Sweep().on_job_end(None, JobReturn(_return_value="", status=JobStatus.COMPLETED))
    assert [line["outcome"] for line in jobs.read_records(tmp_path)] == ["failed"]


def test_a_sweep_whose_end_is_unknown_has_not_gone_well(swept, run_verb, monkeypatch, capsys):
    _, words = swept

    def damaged(*args):
        raise KeyError("outcome")

    for module, name in (
        (jobs, "summarise"),
        (sys.modules["bookcls.sweeping.sweep"], "list_jobs"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, damaged)
            patch.setattr(train, "train", lambda *args: None)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert run_verb(train.main, "-m", "aug=none,mixup", *words) == 1
        assert "bookcls: error: " in capsys.readouterr().err


class PowerCutError(Exception):
    """Nobody expects it."""


def test_a_stopped_job_goes_on_from_its_checkpoint_to_the_same_result(
    swept, run_verb, tmp_path, monkeypatch, capsys
):
    whole, words = swept
    words = (*words, f"hydra.sweep.dir={tmp_path / 'cut'}")
    monkeypatch.setattr("bookcls.training.callbacks.SAVE_EVERY_SECONDS", 0)
    start = Classifier.on_train_epoch_start

    def stop(self):
        if self.current_epoch == 1 and self.trainer.datamodule.aug.mixup_alpha == 0:
            raise PowerCutError("of the first job,\nin its second epoch")
        start(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Classifier, "on_train_epoch_start", stop)
        assert run_verb(train.main, "-m", "aug=none,mixup", *words) == 1
    captured = capsys.readouterr()
    trace = tmp_path / "cut" / "traceback_0.txt"
    assert captured.err == (
        f"bookcls: error: job 1 of 2  aug=none: PowerCutError: of the first job, (see {trace})\n"
    )
    assert "raise PowerCutError" in trace.read_text()
    assert "2 jobs: 1 ran, 1 failed (aug=none: PowerCutError: of the first job," in captured.out
    first, _ = last_command(tmp_path / "cut")
    # A half written checkpoint of a process that was killed.
    (tmp_path / "cut" / first["key"] / ".last.ckpt.1").write_bytes(b"PK")

    assert run_verb(train.main, "-m", "aug=none,mixup", *words) == 0
    out = capsys.readouterr().out
    assert "resuming after epoch 1 of 2" in out
    assert "job 1 of 2  aug=none   about " in out
    assert "2 jobs: 1 ran, 1 done before\n" in out
    assert results(tmp_path / "cut") == results(whole)
    assert not list((tmp_path / "cut").glob("*/.*"))


def test_a_job_that_fails_is_one_line_and_the_others_go_on(swept, run_verb, capsys):
    folder, words = swept
    named = ("sweep=ablation", "aug=none", "model.weights=nowhere.pth")
    assert run_verb(train.main, *named, *words) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(
        "bookcls: error: job 2 of 2  model.pretrained=True: no weights: model.weights=nowhere.pth"
    )
    scratch, pretrained = last_command(folder)
    assert (scratch["outcome"], pretrained["outcome"]) == ("done before", "failed")
    assert pretrained["key"] is None

    assert run_verb(train.main, "-m", "data.val_fraction=5,0.2", *words) == 1
    captured = capsys.readouterr()
    assert "job 1 of 2  data.val_fraction=5: data.val_fraction=5.0" in captured.err
    assert "2 jobs: 1 done before, 1 failed (data.val_fraction=5: " in captured.out


def test_a_job_that_another_process_runs_is_left_to_it(swept, run_verb, tmp_path, capsys):
    whole, words = swept
    run = tmp_path / "s" / jobs.read_records(whole)[0]["key"]
    run.mkdir(parents=True)
    words = (*words, "aug=none", f"hydra.sweep.dir={tmp_path / 's'}")
    with FileLock(run / ".lock"):
        assert run_verb(train.main, "-m", *words) == 0
    assert "another process is training it" in capsys.readouterr().out
    assert not results(tmp_path / "s")


def test_ctrl_c_stops_the_whole_sweep(shared_photos, run_verb, tmp_path, monkeypatch, capsys):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Classifier, "on_train_epoch_start", interrupt)
    handler = signal.getsignal(signal.SIGINT)
    words = (f"data.root={shared_photos}", *TINY, f"hydra.sweep.dir={tmp_path / 's'}")
    try:
        assert run_verb(train.main, "-m", "seed=0,1", *words) != 0
    finally:
        signal.signal(signal.SIGINT, handler)  # Lightning ignores further ones.
    out = capsys.readouterr().out
    assert "run the same command again to resume it" in out
    assert "job 2 of 2" not in out


def test_several_devices_in_a_sweep_are_refused(shared_photos, run_verb, tmp_path, capsys):
    words = ("-m", "seed=0,1", f"data.root={shared_photos}", "trainer.devices=2")
    assert run_verb(train.main, *words) == 1
    assert capsys.readouterr().err.count("each job of a sweep uses one device") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["hydra/launcher=joblib", "hydra.launcher.n_jobs=0"],
            "launcher joblib failed: n_jobs == 0",
        ),
        pytest.param(
            ["hydra/launcher=submitit_slurm"],
            'launcher submitit failed: Could not detect "srun"',
            marks=pytest.mark.skipif(bool(shutil.which("srun")), reason="this machine has Slurm"),
        ),
    ],
)
def test_what_a_launcher_refuses_is_one_line(shared_photos, run_verb, capsys, words, said):
    assert run_verb(train.main, "-m", "seed=0,1", f"data.root={shared_photos}", *words) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"bookcls: error: the {said}")
    assert err.count("\n") == 1


def test_a_process_that_died_is_one_line_and_a_mistake_of_ours_is_none(
    shared_photos, run_verb, monkeypatch, capsys
):
    words = ("-m", "seed=0,1", f"data.root={shared_photos}", "hydra/launcher=joblib")

    def launch(self, tasks):
        raise error

    monkeypatch.setattr("joblib.Parallel.__call__", launch)
    error = TerminatedWorkerError("killed\nby the kernel")
    assert run_verb(train.main, *words) == 1
    assert capsys.readouterr().err == (
        "bookcls: error: a process of the sweep died (killed); run the same command again "
        "to resume it.\n"
    )
    error = ValueError("ours")
    with pytest.raises(ValueError, match="ours"):
        run_verb(train.main, *words)


def test_a_typing_error_leaves_no_run_folder(run_verb, tmp_path):
    assert run_verb(train.main, "data.root=/no/such/folder") == 1
    assert not list((tmp_path / "runs").iterdir())


def test_workers_share_the_gpus_out(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for visible, count in ((None, 2), ("4,7", 0)):
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        seen = []
        for worker in (1, 2, 3):
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible or "")
            if visible is None:
                monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
            workers.share_devices(worker)
            seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
        assert seen == (["0", "1", "0"] if visible is None else ["4", "7", "4"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    workers.share_devices(1)  # a machine without one
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_a_worker_writes_what_no_encoding_holds(tmp_path, monkeypatch):
    for name, value in (("worker_number", 1), ("share_devices", None), ("format_accuracies", "")):
        monkeypatch.setattr(workers, name, lambda *args, value=value: value)
    job = jobs.Job(tmp_path, "now", 1, 1, "seed=0", key="key")
    job.run.mkdir()
    with workers.run_in_worker(job):
        print("photo_\udce9.png")
    assert (job.run / workers.OUTPUT).read_text() == "photo_\\udce9.png\n"


def test_a_tracker_that_does_not_answer_is_an_error_before_training(tmp_path, monkeypatch):
    class Silent(SimpleNamespace):
        @property
        def experiment(self):
            assert (tmp_path / "deep").is_dir()
            raise ConnectionError("nobody\nthere")

    monkeypatch.setattr(trackers, "find_spec", lambda name: True)
    monkeypatch.setattr(trackers, "MLFlowLogger", lambda *args, **kwargs: Silent())
    uri = f"sqlite:///{tmp_path / 'deep' / 'mlflow.db'}"
    with pytest.raises(BookclsError, match=rf"^logger\.tracking_uri={uri}: nobody\. "):
        trackers.make_loggers(LoggerConfig("mlflow", uri), tmp_path)


ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
OFTEN = (
    "import bookcls.training.callbacks as c; c.SAVE_EVERY_SECONDS = 0\n"
    "from bookcls import train; train.main()"
)
"""Trains with a checkpoint after each epoch."""


def command(photos: Path, folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-c", OFTEN, "-m", *FOUR, f"data.root={photos}", *TINY,
            "optim.epochs=3", f"hydra.sweep.dir={folder}", *words]  # fmt: skip


@pytest.fixture(scope="module")
def serial(shared_photos, tmp_path_factory):
    """Four jobs one after another, with one thread."""
    folder = tmp_path_factory.mktemp("serial") / "s"
    subprocess.run(command(shared_photos, folder), check=True, env=ENVIRONMENT)
    assert len(results(folder)) == 4
    return folder


@pytest.mark.slow
def test_a_sweep_that_was_killed_ends_like_one_that_was_not(serial, shared_photos, tmp_path):
    folder = tmp_path / "s"
    process = subprocess.Popen(command(shared_photos, folder), env=ENVIRONMENT)
    while len(list(folder.glob("*/last.ckpt"))) == 0 or len(results(folder)) < 1:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/metrics.json")}
    assert 1 <= len(before) < 4
    again = subprocess.run(
        command(shared_photos, folder), check=True, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert "resuming after epoch" in again.stdout
    assert results(folder) == results(serial)
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    done = [line for line in last_command(folder) if line["outcome"] == "done before"]
    assert len(done) == len(before)


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher",
    [("joblib", "hydra.launcher.n_jobs=2"), ("submitit_local",)],
    ids=lambda words: words[0],
)
def test_launchers_give_the_same_numbers(serial, shared_photos, tmp_path, launcher):
    folder = tmp_path / "s"
    words = (f"hydra/launcher={launcher[0]}", *launcher[1:])
    done = subprocess.run(
        command(shared_photos, folder, *words), env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "4 jobs: 4 ran\n" in done.stdout
    assert results(folder) == results(serial)
    # A failure in another process counts too.
    words = (*words, "data.val_fraction=5", "aug=none", "seed=0")
    done = subprocess.run(
        command(shared_photos, folder, *words), env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "1 job: 1 failed" in done.stdout

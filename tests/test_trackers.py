"""Who records losses and accuracy besides csv."""

from pathlib import Path

import pytest

from bookcls.errors import BookclsError
from bookcls.settings import LoggerConfig
from bookcls.training import trackers
from bookcls.training.trackers import make_loggers


def record(config: LoggerConfig, run: Path) -> None:
    for logger in make_loggers(config, run):
        logger.log_hyperparams({"lr": 1e-3, "class_names": ["a", "b"]})
        logger.log_metrics({"train/loss": 0.5}, step=1)
        logger.finalize("success")


def test_tensorboard_is_written_beside_csv(tmp_path):
    pytest.importorskip("tensorboard")
    record(LoggerConfig("tensorboard"), tmp_path)
    assert (tmp_path / "logs" / "version_0" / "metrics.csv").is_file()
    assert list((tmp_path / "tensorboard").glob("events.out.*"))


def test_mlflow_writes_a_database(tmp_path):
    pytest.importorskip("mlflow")
    database = tmp_path / "deep" / "mlflow.db"
    record(LoggerConfig("mlflow", f"sqlite:///{database}"), tmp_path / "2026" / "12")
    assert database.is_file()


def test_a_missing_package_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    for kind in ("tensorboard", "mlflow"):
        with pytest.raises(BookclsError, match=rf"logger={kind} needs.*'bookcls\[{kind}\]'"):
            make_loggers(LoggerConfig(kind), tmp_path)
    assert len(make_loggers(LoggerConfig(), tmp_path)) == 1
    with pytest.raises(BookclsError, match=r"logger\.kind=wandb: choose one of csv"):
        LoggerConfig("wandb")

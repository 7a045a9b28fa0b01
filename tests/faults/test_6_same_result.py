"""Promise 6: the same seed gives the same result on one machine, to the last bit of the weights."""

import locale
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import conftest
from bookcls import train
from conftest import TINY
from victims import Victim, at_epoch, die, needs_fork, outcome, save_always, verb, warm

pytestmark = [needs_fork, pytest.mark.usefixtures("narrow")]
WORDS = (*TINY, "aug=all", "model.dropout=0.3")


def runs_to(folder: Path, photos: Path, *words: str, before=lambda: None, cwd: Path | None = None):
    """What a run in another process comes to."""
    words = (*WORDS, f"data.root={photos}", f"hydra.run.dir={folder}", *words)
    work = verb(train.main, *words, cwd=cwd or folder.parent, before=before)
    victim = Victim(work, folder.with_suffix(".log"))
    assert victim.wait() == 0, victim.said
    return outcome(folder)


@pytest.fixture
def first(shared_photos, tmp_path):
    warm()
    return runs_to(tmp_path / "first", shared_photos)


def elsewhere():
    """The other end of the world's clock, and the first foreign locale that is installed."""
    os.environ["TZ"] = "Pacific/Kiritimati"
    time.tzset()
    for name in ("tr_TR.UTF-8", "de_DE.UTF-8", "ja_JP.UTF-8", "C.UTF-8", "C"):
        try:
            os.environ["LC_ALL"] = name
            locale.setlocale(locale.LC_ALL, name)
        except locale.Error:
            continue
        return


def test_again_elsewhere_and_after_a_stop(first, shared_photos, tmp_path):
    assert runs_to(tmp_path / "again", shared_photos, "data.num_workers=1") == first

    (tmp_path / "other").mkdir()
    near = Path(os.path.relpath(shared_photos, tmp_path / "other"))
    assert runs_to(tmp_path / "far", near, before=elsewhere, cwd=tmp_path / "other") == first

    def stop():
        save_always()
        at_epoch(1, die)

    run = tmp_path / "stopped"
    words = (*WORDS, f"data.root={shared_photos}", f"hydra.run.dir={run}")
    Victim(verb(train.main, *words, cwd=tmp_path, before=stop), tmp_path / "log").wait()
    assert not (run / "metrics.json").exists()
    victim = Victim(verb(train.main, f"resume={run}", cwd=tmp_path), tmp_path / "log")
    assert victim.wait() == 0, victim.said
    assert "resuming after epoch 1" in victim.said
    assert outcome(run) == first
    assert runs_to(tmp_path / "seed", shared_photos, "seed=1") != first


@pytest.mark.faults
@pytest.mark.parametrize("workers", [0, 2, 4])
def test_any_number_of_workers(first, shared_photos, tmp_path, workers):
    words = (f"data.num_workers={workers}", "data.cache_mb=0")
    assert runs_to(tmp_path / "again", shared_photos, *words) == first


@pytest.mark.faults
@pytest.mark.parametrize("hash_seed", ["1", "77"])
def test_in_a_new_process_whose_encoding_is_ascii(first, shared_photos, tmp_path, hash_seed):
    code = (
        f"import sys\nsys.path.insert(0, {str(Path(conftest.__file__).parent)!r})\n"
        "import conftest, torchvision\nfrom bookcls.train import main\n"
        "torchvision.models.vgg.cfgs['D'] = conftest.NARROW\nmain()"
    )
    run = tmp_path / "again"
    words = (*WORDS, f"data.root={shared_photos}", f"hydra.run.dir={run}")
    plain = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TZ": "Asia/Tokyo"}
    environment = {**os.environ, **plain, "PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert outcome(run) == first

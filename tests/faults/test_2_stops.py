"""Promise 2: what goes wrong outside ends in a clear last line, and the run goes on from there.

See also test_fetch.py (a full disk, a cut network) and test_learning.py (memory, lost photos).
"""

import os
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from bookcls import train
from conftest import TINY
from victims import Victim, at_epoch, die, needs_fork, outcome, save_always, sizes, verb, warm

pytestmark = [needs_fork, pytest.mark.usefixtures("narrow")]

WORDS = (*TINY, "aug=all", "optim.epochs=3")


@pytest.fixture
def expected(shared_photos, tmp_path):
    """What the run comes to that nothing stops."""
    warm()
    run = tmp_path / "expected"
    words = (*WORDS, f"data.root={shared_photos}", f"hydra.run.dir={run}")
    assert Victim(verb(train.main, *words, cwd=tmp_path), tmp_path / "log").wait() == 0
    return outcome(run)


def goes_on(run: Path, tmp_path: Path, *words: str):
    """What the run comes to when it is resumed."""
    victim = Victim(verb(train.main, f"resume={run}", *words, cwd=tmp_path), tmp_path / "log")
    assert victim.wait() == 0, victim.said
    return outcome(run)


@sizes("tries", 1, 12)
@pytest.mark.parametrize(
    ("numbers", "codes"),
    [((signal.SIGTERM,), (143,)), ((signal.SIGINT,), (1, 130)), ((signal.SIGINT,) * 2, (1, 130))],
    ids=["SIGTERM", "Ctrl+C", "Ctrl+C twice"],
)
def test_signals(shared_photos, expected, tmp_path, numbers, codes, tries):
    stopped = 0
    for number in range(tries):
        run = tmp_path / f"run{number}"
        words = (*WORDS, f"data.root={shared_photos}", f"hydra.run.dir={run}")
        at, sent = tmp_path / f"at{number}", tmp_path / f"sent{number}"

        def before(at=at, sent=sent, number=number):
            def wait():
                at.touch()
                while number % 2 == 0 and not sent.exists():
                    time.sleep(0.002)

            save_always()
            # Of two victims one waits for the signal, and one goes on.
            at_epoch(number % 3, wait)

        victim = Victim(verb(train.main, *words, cwd=tmp_path, before=before), tmp_path / "log")
        while not at.exists():
            time.sleep(0.002)
        for signal_number in numbers:
            victim.kill(signal_number)
            time.sleep(0.01)
        sent.touch()
        code = victim.wait()
        if code == 0:  # It was quicker than the signal.
            assert outcome(run) == expected
            continue
        stopped += 1
        assert code in codes, victim.said
        assert victim.last_line.startswith("stopped; resume with  "), victim.said
        assert f"-m bookcls.train resume={run}" in victim.last_line
        assert "Traceback" not in victim.said
        assert goes_on(run, tmp_path) == expected
    assert stopped >= (tries + 1) // 2
    print(f"{stopped} of {tries} stopped")


def test_a_signal_before_training(shared_photos, tmp_path, monkeypatch):
    warm()
    run = tmp_path / "run"
    words = (*WORDS, f"data.root={shared_photos}", f"hydra.run.dir={run}")
    for number, code, said in [(signal.SIGTERM, 143, "by SIGTERM"), (signal.SIGINT, 130, "")]:
        at = tmp_path / f"at{number}"

        def wait(*args, at=at, **kwargs):
            at.touch()
            time.sleep(600)

        monkeypatch.setattr("bookcls.training.run.decode_folder", wait)
        victim = Victim(verb(train.main, *words, cwd=tmp_path), tmp_path / "log")
        while not at.exists():
            time.sleep(0.002)
        victim.kill(number)
        assert victim.wait() == code
        assert victim.last_line.startswith("bookcls: stopped")
        assert said in victim.last_line
        assert not (run / "config.yaml").exists()


@pytest.fixture
def disk(tmp_path):
    """A small disk."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a small tmpfs")

    command = ["mount", "-t", "tmpfs", "-o", "size=64M", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a tmpfs is refused here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@sizes("tries", 4, 40)
def test_a_full_disk(shared_photos, expected, disk, tmp_path, tries):
    run = disk / "run"
    words = (*WORDS, f"data.root={shared_photos}", f"hydra.run.dir={run}")
    for number in range(tries):
        shutil.rmtree(run, ignore_errors=True)
        # From no room at all to nearly enough for a run: what is in the way is as large.
        room = int(12e6 * (number / tries) ** 2)
        with (disk / "in the way").open("wb") as file:
            file.truncate(0)
            os.posix_fallocate(file.fileno(), 0, 64 * 2**20 - room - 65536)
        work = verb(train.main, *words, cwd=tmp_path, before=save_always)
        victim = Victim(work, tmp_path / "log")
        code = victim.wait()
        (disk / "in the way").unlink()
        if code == 0:
            assert outcome(run) == expected
            continue
        assert code == 1, victim.said
        assert "Traceback" not in victim.said, victim.said
        assert "No space left on device" in victim.last_line, victim.said
        assert not (run / "metrics.json").exists()
        if (run / "config.yaml").is_file():
            if (run / "environment.json").is_file():
                assert "resume with  " in victim.last_line
            assert goes_on(run, tmp_path) == expected


def test_a_disk_that_may_only_be_read(shared_photos, expected, disk, tmp_path):
    run = disk / "run"
    words = (*WORDS, f"data.root={shared_photos}", f"hydra.run.dir={run}")

    def before():
        save_always()
        at_epoch(1, die)

    Victim(verb(train.main, *words, cwd=tmp_path, before=before), tmp_path / "log").wait()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for again in ((*words, f"hydra.run.dir={disk}/new"), (f"resume={run}",)):
        victim = Victim(verb(train.main, *again, cwd=tmp_path), tmp_path / "log")
        assert victim.wait() == 1
        assert victim.last_line.startswith("bookcls: error: "), victim.said
        assert "Read-only file system" in victim.last_line
        assert "Traceback" not in victim.said
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert goes_on(run, tmp_path) == expected


def test_photos_that_vanish_and_come_back(photos, tmp_path):
    warm()
    away = photos.with_name("away")
    found = None
    for number, cache in enumerate((0, 2000)):
        run = tmp_path / f"run{number}"
        words = (*WORDS, f"data.root={photos}", f"data.cache_mb={cache}", f"hydra.run.dir={run}")

        def before():
            save_always()
            at_epoch(1, lambda: photos.rename(away))

        victim = Victim(verb(train.main, *words, cwd=tmp_path, before=before), tmp_path / "log")
        code = victim.wait()
        away.rename(photos)
        if cache:
            assert code == 0, "they were in memory"
            assert outcome(run) == found
            continue
        assert code == 1
        assert victim.last_line.startswith(f"bookcls: error: {photos}/"), victim.said
        assert "no such file, although it could be read before" in victim.last_line
        found = goes_on(run, tmp_path)


@sizes("tries", 2, 12)
def test_too_little_memory_names_a_setting(shared_photos, tmp_path, tries):
    """The limit falls when training begins; from far too little to nearly enough."""
    warm()
    words = (f"data.root={shared_photos}", *TINY, "data.image_size=512", "data.batch_size=18",
             "optim.epochs=1", "data.val_fraction=0")  # fmt: skip
    stopped = 0
    for number in range(tries):
        run = tmp_path / f"run{number}"

        def limit(number=number):
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            room = 2**20 * (8 + 600 * number // tries)
            resource.setrlimit(resource.RLIMIT_AS, (used + room,) * 2)

        work = verb(
            train.main, *words, f"hydra.run.dir={run}", cwd=tmp_path,
            before=lambda limit=limit: at_epoch(0, limit),
        )  # fmt: skip
        victim = Victim(work, tmp_path / "log")
        code = victim.wait()
        if code == 0:
            continue
        stopped += 1
        assert code == 1, victim.said
        assert "lower data.batch_size=18 or data.image_size=512" in victim.last_line, victim.said
        assert "Traceback" not in victim.said
    assert stopped

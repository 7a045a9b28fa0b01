"""Pretraining on rendered scenes, at toy size."""

import json
import sys
from dataclasses import asdict, replace
from hashlib import sha256
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from filelock import FileLock
from omegaconf import OmegaConf
from PIL import Image
from safetensors import safe_open
from torch import nn
from torchvision.models import vgg16, vgg16_bn

from bookcls import pretrain
from bookcls.config import CHECKOUT, to_dataclass
from bookcls.errors import BookclsError
from bookcls.models.weights import find_weights
from bookcls.pretraining import bank as banks
from bookcls.pretraining import fit, probe
from bookcls.pretraining.augment import erase, jitter_colour
from bookcls.pretraining.data import SceneData
from bookcls.pretraining.export import fold_batchnorm, tensors_hash
from bookcls.pretraining.identities import (
    BASE,
    UNKNOWN_BASE,
    design_of_row,
    known_design,
    unknown_design,
)
from bookcls.pretraining.module import make_features
from bookcls.pretraining.rendered import render_scene
from bookcls.pretraining.settings import PretrainConfig
from bookcls.pretraining.targets import is_hit, soft_targets
from bookcls.synthetic.books import BOOKS, UNKNOWN
from test_config import composed

PRESETS = ("cpu", "toy")


def config_of(preset="toy", *overrides):
    return to_dataclass(
        composed(f"pretrain/preset={preset}", *overrides, verb="pretrain"), PretrainConfig
    )


@pytest.fixture(scope="module", autouse=True)
def one_thread(two_threads):
    """At this size a second thread mostly waits for the first."""
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(2)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def bank(cache):
    return banks.open_bank(cache, 8, 4, 32)


OPENED: list[str] = []
_LISTENING = [False]


def _listen(event, arguments):
    if event == "open" and _LISTENING[0]:
        OPENED.append(str(arguments[0]))


sys.addaudithook(_listen)


@pytest.fixture(scope="module")
def whole(cache, tmp_path_factory):
    """A finished toy run; OPENED has every file that it opened."""
    run = tmp_path_factory.mktemp("whole") / "run"
    _LISTENING[0] = True
    fit.pretrain(replace(config_of(), cache=str(cache)), run, ckpt=None, started=0)
    _LISTENING[0] = False
    return run


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_becomes_typed_values(preset):
    config = config_of(preset)
    assert config.num_steps % config.round_steps == 0
    assert config.num_steps >= sum(stage.steps for stage in config.stages)


def test_stages_follow_each_other():
    stages = "stages=[{image_size: 32, steps: 3, batch_size: 4},{image_size: 64, steps: 2, "
    config = config_of("toy", stages + "batch_size: 2}]")
    assert [config.stage_at(k).image_size for k in range(7)] == [32] * 3 + [64] * 4
    assert [config.images_before(k) for k in range(7)] == [0, 4, 8, 12, 14, 16, 18]
    assert (config.num_rounds, config.num_steps) == (3, 6)


def test_wrong_settings_are_refused_by_name(run_verb, capsys):
    assert run_verb(pretrain.main, "preset=toy", "lr=0") == 1
    assert "lr=0.0: must be above 0" in capsys.readouterr().err
    assert run_verb(pretrain.main, "preset=moon") == 1
    assert "choose one of cpu, toy" in capsys.readouterr().err
    assert run_verb(pretrain.main, "resume=nowhere") == 1
    assert "is not a run folder" in capsys.readouterr().err
    assert run_verb(pretrain.main, "resume=nowhere", "lr=1") == 1
    assert capsys.readouterr().err == (
        "bookcls: error: resume=nowhere continues a run with its own settings; leave out lr=1 "
        "(only max_minutes=... may be given with it), or start a new run.\n"
    )
    # A letter of max_minutes is not max_minutes.
    assert run_verb(pretrain.main, "resume=nowhere", "m=1") == 1
    assert "leave out m=1" in capsys.readouterr().err


def randomised(seed=0):
    torch.manual_seed(seed)
    features = make_features()
    for module in features:
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.3, 3)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    return features


def test_folded_weights_give_the_same_outputs():
    features = randomised()
    state = fold_batchnorm(features)
    assert features.training
    with torch.device("meta"):
        plain, same = vgg16(weights=None).features, vgg16_bn(weights=None).features
    assert [str(a) for a in features] == [str(b) for b in same]
    assert [(k, v.shape) for k, v in state.items()] == [
        (k, v.shape) for k, v in plain.state_dict().items()
    ]
    plain.load_state_dict(state, assign=True)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected, given = features.eval()(images), plain.eval()(images)
    assert expected.std() > 0
    assert (given - expected).norm() / expected.norm() <= 1e-4
    with pytest.raises(ValueError, match="not a convolution before a BatchNorm"):
        fold_batchnorm(plain)


def test_identities_are_disjoint_from_the_sample_and_the_distractors(bank):
    designs = [design_of_row(row, 8) for row in range(bank.num_covers)]
    sample = [*BOOKS.values(), *UNKNOWN.values()]
    assert not any(design in sample for design in designs)
    seeds = {block.seed for design in designs for block in (*design.blocks, *design.band)}
    taken = {block.seed for design in sample for block in (*design.blocks, *design.band)}
    assert seeds & taken <= {0}
    numbers = {known_design(k) for k in range(100_000)}
    assert len(numbers) == 100_000
    assert max(numbers)[0] < UNKNOWN_BASE <= unknown_design(0)[0]
    assert min(numbers)[0] >= BASE > 100_000
    rows = bank.pictures()
    assert rows.shape == (12, 32, 24 + 4, 3)
    assert len({row.tobytes() for row in rows}) == 12


def test_the_bank_is_drawn_once(bank, cache, capsys):
    capsys.readouterr()
    assert np.array_equal(banks.open_bank(cache, 8, 4, 32).pictures(), bank.pictures())
    assert "drawing" not in capsys.readouterr().out
    assert banks.cache_key(8, 4, 32) != banks.cache_key(8, 5, 32)


def test_a_damaged_bank_is_drawn_again(bank, tmp_path, capsys):
    (tmp_path / bank.path.name).write_bytes(bank.path.read_bytes()[:200])
    again = banks.open_bank(tmp_path, 8, 4, 32)
    assert "is damaged" in capsys.readouterr().out
    assert again.path.read_bytes() == bank.path.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [bank.path.name]


@pytest.mark.parametrize("split", ["train", "val"])
def test_rendered_scenes_do_not_depend_on_the_workers(bank, split):
    def batches(num_workers):
        data = SceneData(bank, config_of(), num_workers)
        data.trainer = SimpleNamespace(global_step=2)
        if split == "train":
            return list(data.train_dataloader())
        data.setup("fit")
        return data.held_out

    alone, together = batches(0), batches(2)
    assert [batch[0] for batch in together] == ([2, 3] if split == "train" else [0])
    for first, second in zip(alone, together, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(first[1:], second[1:], strict=True))


def test_splits_and_seeds_differ(bank):
    def image(**changed):
        settings = {"seed": 0, "split": "train", "index": 0} | changed
        return render_scene(bank, bank.pictures(), 32, **settings).image.tobytes()

    images = {image(), image(seed=1), image(split="val"), image(index=1)}
    assert len(images) == 4


def test_rendered_scenes_tell_what_they_show(bank):
    scenes = [render_scene(bank, bank.pictures(), 32, seed=0, split="train", index=k)
              for k in range(60)]  # fmt: skip
    ids, areas = np.stack([s.ids for s in scenes]), np.stack([s.areas for s in scenes])
    assert ids.min() == -1
    assert ids.max() == 7
    assert areas.min() >= 0
    assert areas.sum(1).max() <= 1 + 1e-6
    nothing = ~((ids >= 0) & (areas > 0.01)).any(1)
    assert 0 < nothing.mean() < 0.35


def test_soft_targets_by_visible_area():
    ids = torch.tensor([[0, 1, -1], [2, -1, -1], [2, 2, 1], [-1, -1, -1]])
    areas = torch.tensor([[0.3, 0.1, 0.5], [0.004, 0.2, 0.0], [0.1, 0.1, 0.2], [0.0, 0.0, 0.0]])
    target = soft_targets(ids, areas, 3, 0.01)
    expected = [[0, 0.75, 0.25, 0], [1, 0, 0, 0], [0, 0, 0.5, 0.5], [1, 0, 0, 0]]
    assert torch.allclose(target, torch.tensor(expected, dtype=torch.float32))
    logits = torch.eye(4)[[1, 0, 1, 2]]
    assert is_hit(logits, target).tolist() == [True, True, False, False]


def test_resumed_equals_uninterrupted(whole, cache, run_verb, tmp_path, capsys):
    cut = tmp_path / "cut"
    settings = ("preset=toy", f"cache={cache}", f"hydra.run.dir={cut}")
    assert run_verb(pretrain.main, *settings, "max_minutes=0.0001") == 0
    assert "time is up" in capsys.readouterr().out
    card = json.loads((cut / "vgg16_rendered.json").read_text())
    assert (card["finished"], card["steps"]) == (False, 2)
    assert run_verb(pretrain.main, f"resume={cut}", "max_minutes=5") == 0
    cards = [json.loads((run / "vgg16_rendered.json").read_text()) for run in (whole, cut)]
    for key in ("finished", "steps", "images_seen", "val_acc", "val_loss", "sha256", "recipe"):
        assert cards[0][key] == cards[1][key], key
    states = [torch.load(run / "last.ckpt", weights_only=True) for run in (whole, cut)]
    for key in ("state_dict", "current_model_state"):
        for name, value in states[0][key].items():
            assert torch.equal(value, states[1][key][name]), name
    # Cut off after the last step, before the weights were written.
    (cut / "vgg16_rendered.json").unlink()
    assert run_verb(pretrain.main, f"resume={cut}") == 0
    again = json.loads((cut / "vgg16_rendered.json").read_text())
    assert {k: again[k] for k in ("sha256", "val_loss", "images_seen")} == {
        k: cards[0][k] for k in ("sha256", "val_loss", "images_seen")
    }
    assert run_verb(pretrain.main, f"resume={cut}") == 1
    assert "this run is finished" in capsys.readouterr().err


def test_a_run_belongs_to_one_process(run_verb, tmp_path, capsys):
    run = tmp_path / "my run"
    run.mkdir()
    with FileLock(run / ".lock"):
        assert run_verb(pretrain.main, "preset=toy", f"hydra.run.dir={run}") == 1
    assert "another process is writing to it" in capsys.readouterr().err
    assert not (run / "config.yaml").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="wants a machine without GPU")
def test_a_missing_gpu_is_said_before_covers_are_drawn(run_verb, tmp_path, capsys):
    cache = tmp_path / "cache"
    assert run_verb(pretrain.main, "preset=toy", "accelerator=cuda", f"cache={cache}") == 1
    assert not cache.exists()
    assert "accelerator=cuda, precision=32-true are not supported" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_named_with_the_way_on(run_verb, tmp_path, capsys):
    run, cache = tmp_path / "my run", tmp_path / "cache"
    run.mkdir()
    settings = asdict(config_of("toy", f"cache={cache}"))
    (run / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(settings)))
    for content in (b"", b"this is no checkpoint", b"PK half"):
        (run / "last.ckpt").write_bytes(content)
        assert run_verb(pretrain.main, f"resume={run}") == 1
        error = capsys.readouterr().err
        assert f"{run / 'last.ckpt'} is damaged; delete it" in error
        assert f" -m bookcls.pretrain resume='{run}'" in error
        assert error.count("\n") == 1
    assert not cache.exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--size", "31"], 2, "--size 31: "),
        (["--picture", "p.png"], 2, "give --logs"),
        (["--root", "/no/such"], 1, "bookcls: error: "),
    ],
)
def test_a_probe_that_cannot_be_says_so_in_a_line(words, code, said, capsys):
    with pytest.raises(SystemExit) as stop:
        probe.main(words)
    if code == 1:  # sys.exit prints a text and ends with 1
        assert str(stop.value).startswith(said)
    else:
        assert stop.value.code == code
        assert said in capsys.readouterr().err.splitlines()[-1]


def test_the_weights_load_and_the_card_tells_of_them(whole):
    path = whole / "vgg16_rendered.safetensors"
    found = find_weights(str(path))
    assert len(found.state) == 26
    card = json.loads((whole / "vgg16_rendered.json").read_text())
    assert card["sha256"] == found.sha256 == sha256(path.read_bytes()).hexdigest()
    assert card["bytes"] == path.stat().st_size < 15e6
    assert (card["finished"], card["steps"], card["images_seen"]) == (True, 4, 16)
    assert {"recipe", "machine", "seconds", "images_per_second", "val_acc", "versions", "licence",
            "good_for", "bad_for", "natural_images"} <= set(card)  # fmt: skip
    with safe_open(path, "pt") as file:
        assert file.metadata()["format"] == "bookcls.models.vgg16-features.2"
        raw = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        assert file.metadata()["tensors_sha256"] == tensors_hash(raw)
    assert raw["28.weight"].dtype == torch.int8
    averaged = torch.load(whole / "last.ckpt", weights_only=True)["state_dict"]
    features = make_features()
    prefix = "features."
    features.load_state_dict(
        {k.removeprefix(prefix): v for k, v in averaged.items() if k.startswith(prefix)}
    )
    for name, value in fold_batchnorm(features).items():
        # Half a step of a grid of 127 steps up to the channel's largest weight; biases are exact.
        rows, ours = value.view(len(value), -1), found.state[name].view(len(value), -1)
        step = rows.abs().amax(1) / 127 * (value.ndim > 1)
        error = (ours - rows).abs().amax(1)
        assert bool((error <= 0.501 * step).all()), name


def test_no_photo_is_read(whole):
    assert any("covers-" in name for name in OPENED)
    assert not [name for name in OPENED if str(CHECKOUT / "dataset") in name]
    assert not [name for name in OPENED if name.lower().endswith((".jpg", ".jpeg", ".png"))]


def test_scenes_can_be_looked_at(cache, run_verb, tmp_path):
    path = tmp_path / "scenes.png"
    assert run_verb(pretrain.main, "preset=toy", f"cache={cache}", f"show={path}") == 0
    with Image.open(path) as picture:
        assert picture.size == (340, 204)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    from bookcls.pretraining.export import write_weights

    features = randomised()
    nn.init.constant_(features[1].weight, torch.inf)
    with pytest.raises(BookclsError, match="not finite"):
        write_weights(tmp_path / "w.safetensors", features, {})
    assert not list(tmp_path.iterdir())


def test_the_average_follows_early_and_remembers_late():
    update = fit.warming_average(0.99)
    for done, kept in ((0, 0.1), (8, 0.5), (10**6, 0.99)):
        average = [torch.zeros(1)]
        update(average, [torch.ones(1)], torch.tensor(done))
        assert average[0].item() == pytest.approx(1 - kept, abs=1e-4)


def test_augmentation_keeps_the_range_and_can_do_nothing():
    images = torch.rand(6, 3, 16, 16)
    rng = torch.Generator().manual_seed(0)
    assert torch.allclose(erase(jitter_colour(images, rng, 0), rng, 0), images, atol=1e-6)
    changed = erase(jitter_colour(images, rng, 1), rng, 1)
    assert (changed != images).flatten(1).any(1).all()
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1

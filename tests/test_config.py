import itertools
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser

from bookcls import (
    cam,
    check,
    evaluate,
    export,
    fetch,
    init,
    predict,
    pretrain,
    report,
    serve,
    train,
    tune,
)
from bookcls.command.overrides import quote_overrides
from bookcls.config import CHECKOUT, conf_dir, read_config, register_resolvers, to_dataclass
from bookcls.environment import print_loading
from bookcls.errors import BookclsError
from bookcls.models.layers import first_trained
from bookcls.models.start import DEFAULTS
from bookcls.settings import EvaluateConfig, TrainConfig
from bookcls.training.datamodule import PhotoDataModule
from bookcls.training.recipe import build, make_trainer, num_epochs
from bookcls.training.run import choose_start

CONF = conf_dir("train")
OPTIONS = sorted(
    (group.name, path.stem)
    for group in CONF.iterdir()
    if group.is_dir() and group.name != "sweep"  # tests/test_sweep.py
    for path in group.glob("*.yaml")
)


def composed(*overrides: str, verb: str = "train", hydra: bool = False):
    GlobalHydra.instance().clear()
    register_resolvers()
    with initialize_config_dir(str(conf_dir(verb)), version_base="1.3"):
        return compose(verb, overrides=list(overrides), return_hydra_config=hydra)


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes_and_instantiates(group, option):
    config = to_dataclass(composed(f"{group}={option}", "data.root=somewhere"), TrainConfig)
    classifier = build(config, ["a", "b"], start=choose_start(config), probe_epochs=0)
    freeze_to = config.model.freeze_to
    assert classifier.model.first_trained == (
        0 if freeze_to == "auto" else first_trained(freeze_to)
    )
    PhotoDataModule(["a", "b"], {}, aug=config.aug)
    if config.trainer.accelerator == "gpu" and not torch.cuda.is_available():
        with pytest.raises(BookclsError, match=r"trainer\.accelerator=gpu.*are not supported"):
            make_trainer(config, epochs=1)
    else:
        assert make_trainer(config, epochs=3).max_epochs == 3


def test_the_defaults_are_the_baseline():
    config = to_dataclass(composed(), TrainConfig)
    assert Path(config.data.root) == CHECKOUT / "dataset" / "sample"
    assert not config.model.pretrained
    assert not any(vars(config.aug).values())
    assert (config.data.image_size, config.data.val_fraction) == (128, 0.2)
    assert (config.model.freeze_to, config.optim.probe_epochs) == ("auto", 0)


def test_pretrained_brings_its_own_recipe():
    config = to_dataclass(composed("data.root=x", "model.pretrained=true"), TrainConfig)
    assert (config.model.weights, config.optim.probe_epochs) == ("auto", 5)
    start = choose_start(replace(config, model=replace(config.model, weights="rendered")))
    classifier = build(config, ["a", "b"], start=start, probe_epochs=5)
    freeze_to, lr = DEFAULTS["rendered"]
    assert classifier.model.first_trained == first_trained(freeze_to)
    assert classifier.hparams["lr"] == lr


def test_what_is_set_wins_over_what_suits_the_weights():
    config = to_dataclass(
        composed("model.pretrained=true", "model.weights=rendered", "model.freeze_to=head",
                 "optim.lr=0.5"), TrainConfig
    )  # fmt: skip
    classifier = build(config, ["a", "b"], start=choose_start(config), probe_epochs=0)
    assert classifier.model.first_trained == first_trained("head")
    assert classifier.hparams["lr"] == 0.5


def test_a_linear_head_on_rendered_weights_wants_small_steps():
    laptop = typed_laptop("model.weights=rendered")
    assert choose_start(laptop).lr == 1e-5
    assert choose_start(typed_laptop("model.weights=rendered", "optim.lr=1e-3")).lr == 1e-3
    assert choose_start(typed_laptop("model.weights=rendered", "model.head=gap256")).lr == 1e-4


def typed_laptop(*words: str) -> TrainConfig:
    return to_dataclass(composed("experiment=laptop", *words), TrainConfig)


def test_images_seen_counts_the_probe():
    config = to_dataclass(composed("model.pretrained=true", "optim.images_seen=1000"), TrainConfig)
    assert num_epochs(config, 100) == (5, 5)
    assert num_epochs(config, 300) == (5, 1)


def test_the_studys_eight_cells_are_eight_commands():
    for pretrained, aug in itertools.product(("true", "false"), ("none", "mixup", "usual", "all")):
        config = to_dataclass(
            composed("data.root=x", f"model.pretrained={pretrained}", f"aug={aug}"), TrainConfig
        )
        assert (config.aug.mixup_alpha > 0) == (aug in ("mixup", "all"))
        assert (config.aug.rotate, config.aug.zoom) == (
            (40.0, 0.3) if aug in ("usual", "all") else (0.0, 0.0)
        )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.val_fraction=1.5", "data.val_fraction=1.5"),
        ("data.image_size=8", "32 to 1024"),
        ("data.batch_size=0", "above 0"),
        ("data.fit=crop", "choose one of letterbox, squash"),
        ("data.on_bad=ignore", "choose one of error, skip"),
        ("model.head=big", "choose one of gap256, flatten256"),
        ("optim.lr=-1", "optim.lr=-1.0: must be above 0"),
        ("aug.hflip=2", "between 0 and 1"),
        ("trainer.accelerator=quantum", "choose one of auto, cpu"),
        ("data.root=''", "data.root is empty"),
        ("trainer.strategy=fsdp", "choose one of auto, ddp"),
        ("trainer.devices=0", "trainer.devices=0: a number, or -1 for all"),
        ("trainer.num_nodes=0", "trainer.num_nodes=0: must be above 0"),
        ("trainer.limit_val_batches=0", "trainer.limit_val_batches=0: must be above 0"),
        ("seed=-1", "seed=-1"),
    ],
)
def test_values_out_of_range_are_refused_by_name(override, message):
    with pytest.raises(BookclsError) as caught:
        to_dataclass(composed("data.root=x", override), TrainConfig)
    assert message in str(caught.value)


def test_a_missing_value_says_how_to_give_it():
    with pytest.raises(BookclsError, match=r"not set: ckpt.*ckpt=RUN"):
        to_dataclass(composed(verb="evaluate"), EvaluateConfig)


# Hydra's own syntax, unless the value names something that is there.
AMBIGUOUS = ["/a,b", "/a[1]", "/${oc.env:HOME}"]
HARD_VALUES = [
    *AMBIGUOUS,
    "/photos/my books",
    "/Fotos/Bücher",
    "/写真/本",
    "/a{b}(c)",
    "~/photos",
    "C:\\photos\\new\\",
    'say "cheese"',
    "it's",
    "a=b",
    "a: b",
    "100%",
    "😀",
    "a\\\\b",
    "#5",
    "@home",
    "?",
    "/a;b!c&d|e<f>g`h^i",
]


@pytest.mark.parametrize("value", HARD_VALUES)
def test_values_that_trip_hydras_parser_arrive_unchanged(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if value in AMBIGUOUS:
        value = str(tmp_path) + value
        Path(value).mkdir(parents=True)
    (argument,) = quote_overrides([f"data.root={value}"], TrainConfig)
    assert composed(argument).data.root == value


def test_what_hydra_understands_is_left_alone():
    plain = ["-m", "--help", "seed=0,1,2", "aug=none,all", "data.root=/a/b-c_d.e", "optim.ema=null",
             "experiment=small", "~model", "data.root='a b'"]  # fmt: skip
    assert quote_overrides(plain, TrainConfig) == plain
    assert OverridesParser.create().parse_override(plain[2]).is_sweep_override()


def test_conf_is_found_from_anywhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert (conf_dir("train") / "aug" / "all.yaml").is_file()
    assert conf_dir("train").is_absolute()
    with pytest.raises(BookclsError, match=r"conf/nothing\.yaml"):
        conf_dir("nothing")
    assert composed("data=books").data.root == str(CHECKOUT / "dataset" / "books")


@pytest.mark.parametrize("content", ["data: [", "", "- a list", "\x00"])
def test_a_damaged_config_of_a_run_is_refused_by_name(tmp_path, content):
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(BookclsError, match=r"config\.yaml is damaged|not set"):
        to_dataclass(read_config(tmp_path / "config.yaml"), TrainConfig)


@pytest.mark.parametrize("verb", ["train", "evaluate", "pretrain", "tune"])
def test_two_commands_of_one_second_have_two_folders(verb):
    first, second = (composed(verb=verb, hydra=True).hydra.run.dir for _ in range(2))
    assert first != second
    assert re.fullmatch(r"\w+/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d-\d{6}", first)


@pytest.mark.parametrize("word", ["photos", "runs/2026-01-31/12-00-00", "help"])
def test_a_word_that_is_no_setting_is_explained(word):
    with pytest.raises(BookclsError, match="settings are given as name=value"):
        quote_overrides([word], TrainConfig)
    assert quote_overrides(["--cfg", "job"], TrainConfig) == ["--cfg", "job"]


def test_help_is_hydras_own(run_verb, capsys):
    """Without the time that Hydra takes for it; groups of other verbs are left out."""
    assert run_verb(train.main, "--help", "aug=all", "seed=7") == 0
    ours = capsys.readouterr().out
    assert run_verb(train.main, "--help", "aug=all", "seed=7", "--config-name=train") == 0
    hydras = capsys.readouterr().out
    assert ours == hydras.replace("pretrain/preset: cpu, toy\n", "")
    assert "rotate: 40.0" in ours
    assert "seed: 7" in ours


def test_the_silence_of_importing_torch_is_announced(monkeypatch, capsys):
    print_loading()
    assert capsys.readouterr().out == "", "it is there already"
    monkeypatch.delitem(sys.modules, "torch")
    print_loading()
    assert capsys.readouterr().out == "loading torch\n"


NOBODY = "~nobody_here/x"


@pytest.mark.parametrize(
    ("module", "given"),
    [
        (cam, "ckpt={}"),
        (cam, "ckpt=RUN images={}"),
        (cam, "ckpt=RUN images=PHOTOS output={}"),
        (cam, "ckpt=RUN data.root={}"),
        (cam, "ckpt=RUN data.root=PHOTOS external={}"),
        (check, "data.root={}"),
        (check, "data.root=. output={}"),
        (evaluate, "ckpt={}"),
        (evaluate, "ckpt=RUN data.root={}"),
        (export, "ckpt={}"),
        (export, "ckpt=RUN output={}.onnx"),
        (export, "ckpt=RUN precision=int8 data.root={}"),
        (fetch, "manifest={}"),
        (fetch, "output={}"),
        (fetch, "output=books source={}"),
        (init, "data.root={}"),
        (init, "data.root=. output={}"),
        (init, "data.root=. labels={}"),
        (predict, "ckpt=RUN images={}"),
        (predict, "ckpt=RUN images={}/*.png"),
        (predict, "ckpt={} images=PHOTOS"),
        (predict, "ckpt=RUN images=PHOTOS output={}"),
        (predict, "ckpt=RUN images=PHOTOS cam={}"),
        (predict, "ckpt=RUN images=PHOTOS unsure={}"),
        (pretrain, "resume={}"),
        (pretrain, "show={}"),
        (pretrain, "cache={}"),
        (report, "runs={}"),
        (report, "runs=. output={}"),
        (serve, "ckpt={}"),
        (serve, "ckpt=RUN unsure={}"),
        (serve, "ckpt=RUN data.root={}"),
        (train, "data.root={}"),
        (train, "resume={}"),
        (train, "model.pretrained=true model.weights={}"),
        (tune, "data.root={}"),
        (tune, "resume={}"),
        (tune, "data.root=PHOTOS model.pretrained=true model.weights={}"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__.rpartition(".")[2],
)
def test_a_home_of_nobody_is_refused_by_the_name_of_the_setting(
    module, given, run_verb, capsys, tmp_path, shared_photos
):
    (tmp_path / "best.ckpt").touch()
    given = given.replace("=RUN", "=best.ckpt").replace("PHOTOS", str(shared_photos))
    words = given.format(NOBODY).split()
    assert run_verb(module.main, *words) == 1
    err = capsys.readouterr().err
    (name,) = (word.partition("=")[0] for word in words if NOBODY in word)
    assert err.startswith(f"bookcls: error: {name}={NOBODY}"), err
    assert "is not the home directory of a user" in err

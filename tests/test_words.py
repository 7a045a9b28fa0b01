"""Text that is given on the command line stays as it was typed."""

import itertools

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf, open_dict

import bookcls
from bookcls import init, predict, train
from bookcls.checking.settings import CheckConfig
from bookcls.command.overrides import expand_resume, quote_overrides
from bookcls.command.words import quote, split_at_commas, unquote
from bookcls.config import conf_dir, read_config, register_resolvers, to_dataclass
from bookcls.errors import BookclsError
from bookcls.explaining.settings import CamConfig
from bookcls.exporting.settings import ExportConfig
from bookcls.fetching.settings import FetchConfig
from bookcls.layouts.settings import InitConfig
from bookcls.predicting.settings import PredictConfig
from bookcls.pretraining.settings import PretrainConfig
from bookcls.reporting.settings import ReportConfig
from bookcls.serving.settings import ServeConfig
from bookcls.settings import EvaluateConfig, TrainConfig
from bookcls.tuning.settings import TuneConfig

SCHEMAS = {
    "cam": CamConfig, "check": CheckConfig, "evaluate": EvaluateConfig, "export": ExportConfig,
    "fetch": FetchConfig, "init": InitConfig, "predict": PredictConfig, "pretrain": PretrainConfig,
    "report": ReportConfig, "serve": ServeConfig, "train": TrainConfig, "tune": TuneConfig,
}  # fmt: skip
WORDS = [
    "2024_05_12", "2024_05", "1e5", "1_10", "0x10", ".5", "01", "on", "yes", "no", "NaN", "inf",
    "1:30", "True", "false", "+5", "-0", "none", " x", "a,b", "[a]", "{a:1}", "choice(a,b)",
    "range(3)", "int(5)", "'tis", 'say "a"', "~", "a=b", "写真,1_0", "C:\\1_0", "sort(2,1)",
]  # fmt: skip
TEXTS = [
    ("train", "data.root"), ("train", "resume"), ("train", "model.weights"),
    ("train", "logger.tracking_uri"),
    ("tune", "data.root"), ("check", "data.root"),
    ("check", "output"), ("evaluate", "ckpt"), ("evaluate", "data.root"), ("export", "ckpt"),
    ("fetch", "source"), ("fetch", "manifest"), ("fetch", "output"), ("init", "data.root"),
    ("init", "output"), ("init", "labels"), ("predict", "images"), ("predict", "ckpt"),
    ("predict", "output"), ("predict", "cam"), ("pretrain", "cache"), ("pretrain", "show"),
    ("pretrain", "resume"), ("report", "runs"), ("report", "output"), ("serve", "ckpt"),
    ("serve", "host"), ("serve", "data.root"), ("cam", "images"), ("cam", "external"),
    ("cam", "output"), ("cam", "data.root"), ("tune", "resume"), ("export", "data.root"),
]  # fmt: skip
NEEDED = {
    "train": ["logger=mlflow"], "evaluate": ["ckpt=x"], "init": ["data.root=x"],
    "predict": ["images=x"], "report": ["runs=x"],
}  # fmt: skip


def composed(verb: str, *words: str, hydra: bool = False):
    """Composes the words of a command line as a verb does."""
    GlobalHydra.instance().clear()
    register_resolvers()
    with initialize_config_dir(str(conf_dir(verb)), version_base="1.3"):
        overrides = quote_overrides(list(words), SCHEMAS[verb])
        config = compose(verb, [w for w in overrides if w != "-m"], return_hydra_config=True)
        if hydra:
            return config
        with open_dict(config):
            del config["hydra"]
        return to_dataclass(config, SCHEMAS[verb])


@pytest.fixture(autouse=True)
def fresh_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def setting(verb: str, key: str, word: str) -> object:
    needed = [w for w in NEEDED.get(verb, []) if not w.startswith(f"{key}=")]
    return OmegaConf.select(OmegaConf.structured(composed(verb, *needed, f"{key}={word}")), key)


@pytest.mark.parametrize("word", WORDS)
def test_a_path_is_what_was_typed(word):
    for verb, key in (("init", "data.root"), ("predict", "images"), ("train", "resume")):
        assert setting(verb, key, word) == word


@pytest.mark.parametrize(("verb", "key"), TEXTS, ids=str)
def test_every_setting_that_is_text_is_what_was_typed(verb, key):
    for word in ("2024_05_12", "1e5"):
        assert setting(verb, key, word) == word


@pytest.mark.parametrize("word", WORDS)
def test_the_output_folder_is_what_was_typed(word):
    for key in ("hydra.run.dir", "hydra.sweep.dir"):
        assert OmegaConf.select(composed("train", f"{key}={word}", hydra=True), key) == word
        found = composed("train", "-m", f"{key}={word}", hydra=True)
        assert OmegaConf.select(found, key) == word


def test_resolvers_of_hydra_still_work(monkeypatch):
    monkeypatch.setenv("PLACE", "here")
    root = composed("train", "data.root=${oc.env:PLACE}/2024_05").data.root
    assert root == "here/2024_05"
    config = composed("train", "hydra.run.dir=out/${now:%Y}", "hydra.sweep.subdir=${hydra.job.num}",
                      hydra=True)  # fmt: skip
    assert len(config.hydra.run.dir) == len("out/2024")
    assert OmegaConf.to_container(config.hydra.sweep)["subdir"] == "${hydra.job.num}"


def test_names_in_a_list_are_what_was_typed():
    typed = "[1_10,01,1e1,yes,no,null,NaN, a b ,'q,r',f(x,y),写真,1:30]"
    expected = ["1_10", "01", "1e1", "yes", "no", "null", "NaN", "a b", "q,r", "f(x,y)", "写真",
                "1:30"]  # fmt: skip
    assert composed("init", "data.root=x", f"classes={typed}").classes == expected
    assert composed("init", "data.root=x", "classes=[]").classes == []
    assert composed("cam", "ckpt=[2024_05,01]").ckpts == ["2024_05", "01"]
    assert composed("cam", "ckpt=0.50").ckpts == ["0.50"]
    assert composed("cam", "ckpt=null").ckpts == []
    assert composed("cam", "layer=[block4_conv3,block5_conv3]").layers[0] == "block4_conv3"


def test_null_clears_what_may_be_empty_and_is_a_word_elsewhere():
    assert setting("predict", "ckpt", "null") is None
    assert setting("init", "output", "NULL") is None
    assert setting("predict", "ckpt", "./null") == "./null"
    assert setting("predict", "ckpt", "'null'") == "null"
    assert setting("predict", "ckpt", "none") == "none"
    assert setting("predict", "images", "null") == "null"
    assert setting("train", "data.root", "null") == "null"
    assert setting("train", "model.freeze_to", "null") is None
    assert setting("train", "optim.lr", "null") is None
    with pytest.raises(BookclsError, match=r"images=\?\?\?: .*write \./\?\?\?"):
        composed("predict", "images=???")


@pytest.mark.parametrize("given", ["'2024_05'", '"2024_05"', "2024_05"])
def test_values_that_the_user_quotes(given):
    assert setting("train", "data.root", given) == "2024_05"
    quoted = quote_overrides([f"data.root={given}"], TrainConfig)
    assert quote_overrides(quoted, TrainConfig) == quoted, "a process that Lightning starts"


def test_numbers_next_to_text():
    assert setting("train", "model.freeze_to", "5") == 5
    assert setting("predict", "unsure", "0.50") == 0.5
    assert setting("predict", "unsure", "5e-1") == 0.5
    assert setting("serve", "unsure", "2024_05") == "2024_05"
    assert setting("predict", "unsure", "2024_05") == "2024_05"
    assert setting("fetch", "size", "512") == 512
    assert setting("train", "optim.lr", "1e-5") == 1e-5
    assert composed("tune", "space.optim.lr.high=3e-4").space["optim"]["lr"]["high"] == 3e-4


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("2024_05,1e5", ["2024_05", "1e5"]),
        ("choice(01,2024_05)", ["01", "2024_05"]),
        ("写真,on, a b", ["写真", "on", "a b"]),
        ("'a,b',it's", ["a,b", "it's"]),
        ("a[1,b", ["a[1", "b"]),
        ("2024_05", ["2024_05"]),
    ],
)
@pytest.mark.parametrize("mode", ["-m", "--multirun", "sweep=ablation", "hydra.mode=MULTIRUN"])
def test_a_multirun_splits_at_commas_and_keeps_each_part(typed, parts, mode):
    word = quote_overrides([f"data.root={typed}", mode], TrainConfig)[0]
    parser = OverridesParser.create()
    override = parser.parse_override(word)
    jobs = override.sweep_string_iterator() if override.is_sweep_override() else [word[10:]]
    assert [parser.parse_override(f"data.root={job}").value() for job in jobs] == parts


def test_the_jobs_of_a_multirun_get_what_was_typed(run_verb, tmp_path, capsys):
    words = ("-m", "data=folder", "data.root=2024_05,1e5", "hydra.sweep.dir=2024_06")
    assert run_verb(train.main, *words) == 1
    said = capsys.readouterr().err
    assert f"{tmp_path / '2024_05'} does not exist" in said
    assert f"{tmp_path / '1e5'} does not exist" in said
    assert (tmp_path / "2024_06").is_dir()


def test_a_folder_with_a_comma_is_one_folder_in_a_multirun(tmp_path):
    (tmp_path / "a,b").mkdir()
    word = quote_overrides(["data.root=a,b", "-m"], TrainConfig)[0]
    assert not OverridesParser.create().parse_override(word).is_sweep_override()


def test_commas_without_multirun_are_explained():
    with pytest.raises(BookclsError, match=r"linear,gap256: choose one of .*\(-m tries several"):
        composed("train", "model.head=linear,gap256", "data.root=x")


def test_plus_signs_and_groups():
    assert composed("train", "++data.root=2024_05").data.root == "2024_05"
    assert quote_overrides(["+data.root=1_0"], TrainConfig) == ['+data.root="1_0"']
    plain = ["data=folder", "aug=none", "seed=1_0", "~experiment", "hydra.verbose=true"]
    assert quote_overrides(plain, TrainConfig) == plain


def test_init_makes_the_folder_that_was_named(run_verb, tmp_path):
    assert run_verb(init.main, "data.root=2024_05_12", "classes=[1_10,01,1e1,yes,no]") == 0
    assert [p.name for p in tmp_path.iterdir()] == ["2024_05_12"]
    made = sorted(p.name for p in (tmp_path / "2024_05_12" / "train").iterdir())
    assert made == ["01", "1_10", "1e1", "no", "yes"]


def test_errors_name_what_was_typed(run_verb, capsys):
    assert run_verb(train.main, "data=folder", "data.root=2024_05") == 1
    assert "2024_05 does not exist" in capsys.readouterr().err
    assert run_verb(predict.main, "ckpt=1_0", "images=x") == 1
    assert "ckpt=1_0: there is no such run" in capsys.readouterr().err


def test_fit_takes_words_as_they_are(tmp_path):
    with pytest.raises(BookclsError, match="2024_05 does not exist"):
        bookcls.fit("2024_05")
    with pytest.raises(BookclsError, match=r"weights=1_0: there is no such file"):
        bookcls.fit(tmp_path, overrides=["model.pretrained=true", "model.weights=1_0"])
    (tmp_path / "1_0").touch()
    with pytest.raises(BookclsError, match=r"output=.*/1_0 cannot be used"):
        bookcls.fit(bookcls_sample(), experiment="small", output="1_0")
    with pytest.raises(BookclsError, match=r"output=.*/1_0 cannot be used"):
        bookcls.fit(bookcls_sample(), experiment="small", overrides=["hydra.run.dir=1_0"])


def bookcls_sample() -> str:
    from bookcls.config import CHECKOUT

    return str(CHECKOUT / "dataset" / "sample")


@pytest.mark.parametrize("name", ["2024_05", "it's", 'a"b', "${x}", "a\\b"])
def test_resume_finds_the_run_that_was_named(tmp_path, name):
    run = tmp_path / name
    run.mkdir()
    (run / "config.yaml").touch()
    words = quote_overrides([f"resume={name}"], TrainConfig)
    resume, *_ = expand_resume(words, allowed=[], is_finished=lambda run: False)
    assert unquote(resume.removeprefix("resume=")) == str(run)


@pytest.mark.parametrize("word", WORDS)
def test_a_runs_configuration_keeps_words(tmp_path, word):
    config = composed("train", "data.root=x", f"model.weights={word}")
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.structured(config)))
    assert to_dataclass(read_config(tmp_path / "config.yaml"), TrainConfig) == config


def test_splitting():
    for parts in itertools.product(["a", "'b,c'", "d(e,f)", "it's", ""], repeat=2):
        assert list(split_at_commas(",".join(parts))) == list(parts)
    assert unquote(quote("a'\"\\")) == "a'\"\\"

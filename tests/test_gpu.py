import json

import pytest
import torch

from bookcls import evaluate, train
from conftest import TINY

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def test_trains_and_tests_on_a_gpu_in_bfloat16(shared_photos, run_verb, tmp_path):
    run = tmp_path / "run"
    arguments = (f"data.root={shared_photos}", "aug=all", *TINY, "trainer=gpu")
    assert run_verb(train.main, *arguments, f"hydra.run.dir={run}") == 0
    metrics = json.loads((run / "metrics.json").read_text())
    assert (metrics["test/easy_n"], metrics["test/difficult_n"]) == (6, 20)
    assert json.loads((run / "environment.json").read_text())["device"].startswith("cuda")
    assert run_verb(evaluate.main, f"ckpt={run}", "trainer.accelerator=cpu") == 0

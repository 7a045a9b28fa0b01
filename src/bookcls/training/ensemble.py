"""Trains the same recipe several times and averages the weights (``ensemble=5``).

Networks fine-tuned from the same weights stay close to each other, so that the average of their
weights is a working network too, often better than each member (Wortsman et al., Model soups, ICML
2022, arXiv 2203.05482). The members share the initial weights (a linear head is initialised from
its own probe) and differ in split, order of photos and augmentation. The score of averaging their
predictions (Lakshminarayanan et al., NeurIPS 2017, arXiv 1612.01474) is reported as well; it needs
the files of all members.
"""

import io
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bookcls import runs
from bookcls.data.samples import PhotoFolder
from bookcls.errors import BookclsError
from bookcls.settings import TrainConfig
from bookcls.storage.files import atomic_write, read_json, write_json

Fit = Callable[[TrainConfig, Path, bool], None]


def train_members(config: TrainConfig, run: Path, fit: Fit) -> list[Path]:
    """Trains each member that is not finished, resuming from its last checkpoint if there is one.

    Args:
        config: The settings; ``ensemble`` is the number of members.
        run: Folder of the ensemble.
        fit: Trains one run; takes its settings, its folder, and whether to resume it.

    Returns:
        The members' run folders.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    if config.trainer.is_distributed:
        raise BookclsError(
            f"ensemble={config.ensemble}: the members train one after another on one device; set "
            "trainer.devices=1 and trainer.num_nodes=1."
        )
    first = config.seed if config.model.init_seed is None else config.model.init_seed
    members = []
    for number in range(config.ensemble):
        member = run / runs.MEMBERS / str(number + 1)
        members.append(member)
        if runs.is_finished(member):
            continue
        seed = config.seed + number
        print(f"\nmember {number + 1} of {config.ensemble}, seed {seed}", flush=True)
        resumed = is_resumable(member)
        if member.is_symlink():
            raise BookclsError(
                f"{member} is a link to {member.resolve()}: each member needs its own folder. "
                "Remove the link."
            )
        if member.exists() and not resumed:
            shutil.rmtree(member)  # it was stopped before its first checkpoint
        member.mkdir(parents=True, exist_ok=True)
        member_config = replace(
            config, seed=seed, ensemble=1, model=replace(config.model, init_seed=first)
        )
        fit(member_config, member, resumed)
    return members


def is_resumable(member: Path) -> bool:
    """Whether an unfinished member has a checkpoint to resume from."""
    return (member / runs.CONFIG).is_file() and (member / runs.LAST).is_file()


def all_members_started(run: Path, num_members: int) -> bool:
    """Whether each member is finished or has a checkpoint, so that none needs initial weights."""
    members = (run / runs.MEMBERS / str(number + 1) for number in range(num_members))
    return all(runs.is_finished(member) or is_resumable(member) for member in members)


def combine(
    config: TrainConfig, run: Path, members: Sequence[Path], folder: PhotoFolder, started: float
) -> None:
    """Averages the members' weights, tests the resulting network, and writes the run folder.

    Args:
        config: The settings.
        run: Folder of the ensemble.
        members: The finished members' run folders.
        folder: The dataset.
        started: ``time.monotonic()`` when the command started.

    Raises:
        BookclsError: If a member's files are damaged.
    """
    import torch

    from bookcls.data.photos import decode_folder
    from bookcls.scoring.advice import advise
    from bookcls.training.checkpoint import load_classifier
    from bookcls.training.console import print_next_steps, print_scores
    from bookcls.training.testing import make_tests, mean_of_answers, run_tests

    networks = [load_classifier(member / runs.BEST) for member in members]
    states = [network.state_dict() for network in networks]
    average = {
        key: torch.stack([state[key].double() for state in states]).mean(dim=0).to(value.dtype)
        for key, value in states[0].items()
    }
    buffer = io.BytesIO()
    hparams = dict(networks[0].hparams)
    torch.save({"hyper_parameters": hparams, "state_dict": average}, buffer)
    with atomic_write(run / runs.BEST) as temporary:
        temporary.write_bytes(buffer.getbuffer())

    data = config.data
    tested = PhotoFolder(folder.root, folder.class_names, [], folder.tests)
    tested, images = decode_folder(tested, data.image_size, data.fit, data.on_bad, data.cache_mb)
    average_network = load_classifier(run / runs.BEST)
    datamodule = make_tests(average_network, images, tested.tests, data.batch_size)
    accelerator = config.trainer.accelerator
    result = run_tests(average_network, datamodule, accelerator=accelerator)
    answers = mean_of_answers(
        [run_tests(network, datamodule, accelerator=accelerator) for network in networks],
        tested.tests,
    )
    if tested.tests:
        path = run / runs.PREDICTIONS
        runs.write_predictions(path, folder.class_names, tested.tests, result.probs)
    environment = read_json(members[0] / runs.ENVIRONMENT)
    write_json(run / runs.ENVIRONMENT, environment | {"members": len(members)})
    first = read_json(members[0] / runs.METRICS)
    metrics = {
        **result.metrics,
        **{key.replace("test/", "mean_of_answers/"): v for key, v in answers.metrics.items()},
        "weights": first["weights"],
        "weights_source": first["weights_source"],
        "seconds": round(time.monotonic() - started, 1),
    }
    write_json(run / runs.METRICS, metrics)
    names = list(tested.tests)
    if names:
        print_scores(
            answers.metrics, names, f"mean of the predictions of {len(members)} members (all files)"
        )
    print_scores(result.metrics, names, f"mean of the weights of {len(members)} members (one file)")
    for line in advise(folder.class_names, tested.tests, result.probs, result.metrics):
        print(f"- {line}")
    print_next_steps(run)

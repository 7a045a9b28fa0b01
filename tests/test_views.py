"""data.cached_views: the frozen layers' work is done once, and nothing else changes."""

from pathlib import Path

import pytest
import torch
from pytorch_lightning.callbacks import Callback

from bookcls import train
from bookcls.data.sampler import OverSampler
from bookcls.errors import BookclsError
from bookcls.training.classifier import Classifier
from bookcls.training.views import CachedViews, View
from conftest import TINY

FROZEN = "model.freeze_to=block4_conv1"


def make_views(
    num_views: int, cache_mb: float = 100, alpha: float = 0.0
) -> tuple[CachedViews, list[torch.Tensor]]:
    """Seven photos, in batches of three, through a layer that counts what it is asked."""
    torch.manual_seed(0)
    photos = torch.rand(7, 3, 8, 8)
    asked: list[torch.Tensor] = []

    def frozen(images):
        asked.append(images)
        return torch.nn.functional.avg_pool2d(images, 2)

    def collate(draws):
        seen = [photos[index] + seed % 1000 for index, seed in draws]
        return torch.stack(seen), torch.tensor([[float(index)] for index, _ in draws])

    loader = torch.utils.data.DataLoader(
        _Draws(), batch_size=3, sampler=OverSampler([0] * 4 + [1] * 3, seed=0), collate_fn=collate
    )
    views = CachedViews(loader, frozen, num_views, seed=0, cache_mb=cache_mb, alpha=alpha)
    return views, asked


class _Draws(torch.utils.data.Dataset):
    def __getitem__(self, draw):
        return draw


def epoch_of(views: CachedViews, epoch: int) -> list[View]:
    views.sampler.set_epoch(epoch)
    return list(views)


def rows(batches: list[View]) -> set[tuple[float, ...]]:
    """What each photo of some batches looks like, target included."""
    return {
        (*activations.flatten().tolist(), *target.tolist())
        for batch in batches
        for activations, target in zip(*batch, strict=True)
    }


def test_later_epochs_replay_each_view_once_a_cycle_in_new_batches():
    views, asked = make_views(num_views=2)
    first = epoch_of(views, 0) + epoch_of(views, 1)
    num_asked = len(asked)
    second = epoch_of(views, 2) + epoch_of(views, 3)
    third = epoch_of(views, 4) + epoch_of(views, 5)
    assert len(asked) == num_asked, "the frozen layers rest"
    assert len(rows(first)) == 16, "eight draws an epoch, each its own view"
    assert rows(second) == rows(third) == rows(first)
    orders = [[b.target.tolist() for b in batches] for batches in (first, second, third)]
    assert orders[0] != orders[1] != orders[2]
    assert [len(b.target) for b in second] == [3, 3, 2, 3, 3, 2]
    assert second[0].activations.is_contiguous(memory_format=torch.channels_last)


def test_a_resumed_replay_draws_the_first_epochs_again():
    views, _ = make_views(num_views=2)
    for epoch in range(3):
        whole = epoch_of(views, epoch)
    resumed = epoch_of(make_views(num_views=2)[0], 2)
    for a, b in zip(whole, resumed, strict=True):
        assert torch.equal(a.activations, b.activations)
        assert torch.equal(a.target, b.target)


def test_an_epoch_that_was_cut_short_is_drawn_again():
    views, _ = make_views(num_views=1)
    next(iter(views))
    replayed = epoch_of(views, 1)
    assert rows(replayed) == rows(epoch_of(make_views(1)[0], 0))


def test_only_as_many_views_are_kept_as_memory_allows(capsys):
    # 2 epochs x 8 draws x 3 channels x 4 x 4 float32 = 3,072 bytes
    views, asked = make_views(num_views=2, cache_mb=0.002)
    first = epoch_of(views, 0)
    assert "room for 1 of 2 cached views" in capsys.readouterr().out
    num_asked = len(asked)
    assert rows(epoch_of(views, 1)) == rows(first)
    assert len(asked) == num_asked, "the frozen layers rest after one epoch"
    views, _ = make_views(num_views=2, cache_mb=0.001)
    with pytest.raises(BookclsError, match="too little for a single view"):
        epoch_of(views, 0)


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_resume_with_little_memory_replays_what_there_is_room_for(epoch):
    whole, _ = make_views(num_views=2, cache_mb=0.002)
    for done in range(epoch):
        epoch_of(whole, done)
    wanted = epoch_of(whole, epoch)
    resumed = epoch_of(make_views(num_views=2, cache_mb=0.002)[0], epoch)
    for a, b in zip(wanted, resumed, strict=True):
        assert torch.equal(a.activations, b.activations)
        assert torch.equal(a.target, b.target)


def test_what_is_kept_is_blended_anew():
    views, _ = make_views(num_views=1, alpha=1.0)
    targets = [[b.target.tolist() for b in epoch_of(views, epoch)] for epoch in range(3)]
    assert targets[0] != targets[1] != targets[2]
    blended = [value % 1 > 0 for epoch in targets for batch in epoch for (value,) in batch]
    assert sum(blended) > len(blended) / 2


class _Losses(Callback):
    """The loss of each step."""

    def __init__(self):
        self.losses = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append((type(batch) is View, float(outputs["loss"])))


def test_the_first_epochs_train_as_without(photos, run_verb, narrow, monkeypatch, tmp_path):
    kept = {}
    for cached in (0, 2):
        losses = _Losses()
        with monkeypatch.context() as patch:
            patch.setattr("bookcls.training.fitting.LineProgress", lambda losses=losses: losses)
            words = ("aug=usual", FROZEN, f"data.cached_views={cached}", "optim.epochs=4")
            assert run_verb(train.main, f"data.root={photos}", "data=folder", *TINY, *words) == 0
        kept[cached] = losses.losses
    half = len(kept[0]) // 2
    assert [loss for _, loss in kept[2][:half]] == [loss for _, loss in kept[0][:half]]
    assert all(cached for cached, _ in kept[2])
    assert kept[2][half:] != kept[2][:half]


def test_the_frozen_layers_work_for_the_first_epochs_only(
    shared_photos, run_verb, narrow, monkeypatch
):
    asked = []
    frozen = Classifier.frozen
    monkeypatch.setattr(Classifier, "frozen", lambda *a: asked.append(1) or frozen(*a))
    words = (f"data.root={shared_photos}", "data=folder", *TINY, FROZEN)
    assert run_verb(train.main, *words, "data.cached_views=2", "optim.epochs=4") == 0
    # Six photos of background are left for training: 18 draws in three batches.
    assert len(asked) == 2 * 3


def test_nothing_frozen_is_refused(shared_photos, run_verb, narrow, capsys, tmp_path: Path):
    words = (f"data.root={shared_photos}", "data=folder", *TINY, "data.cached_views=4")
    assert run_verb(train.main, *words) == 1
    assert "add model.freeze_to=block4_conv1" in capsys.readouterr().err


def test_both_halves_are_the_whole(narrow):
    for freeze_to in ("block2_conv1", "block4_conv1", "head"):
        model = Classifier(["a", "b"], image_size=32, freeze_to=freeze_to).model.eval()
        images = torch.rand(2, 3, 32, 32)
        assert torch.equal(model.forward_trainable(model.forward_frozen(images)), model(images))

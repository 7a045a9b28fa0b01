"""The peers in benchmarks/quality.py: fastai's ``fine_tune`` and a plain torchvision loop.

Both start from the same weights at 224 px and train for the given seconds of CPU time; fastai for
as many epochs as fit into them by a rehearsal, which does not count. ``python -m
benchmarks.quality_sides SIDE ROOT SEED WEIGHTS SECONDS OUTPUT`` writes metrics.json into OUTPUT.
"""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.models import vgg16
from torchvision.transforms import v2

from bookcls.data.dataset import read_folder
from bookcls.data.images import load_image
from bookcls.data.samples import Sample
from bookcls.models.weights import MEAN, STD, find_weights
from bookcls.scoring.scores import score_predictions
from bookcls.storage.files import write_json

SIZE = 224
BATCH = 16
Predict = Callable[[Sequence[Sample]], Tensor]


def convolutions(weights: str) -> nn.Sequential:
    """VGG16's convolutions with the weights that the recipes start from."""
    features: nn.Sequential = vgg16(weights=None).features
    features.load_state_dict(find_weights(weights).state)
    return features


def fastai(root: Path, seed: int, weights: str, seconds: float) -> Predict:
    """``vision_learner(dls, models.vgg16).fine_tune(epochs, freeze_epochs=3)``, its defaults."""
    from fastai.vision import all as vision

    def learner() -> vision.Learner:
        vision.set_seed(seed, reproducible=True)
        files = vision.get_image_files(root / "train")
        # fastai needs something to validate on: one photo again.
        block = vision.DataBlock(
            blocks=(vision.ImageBlock, vision.CategoryBlock),
            get_items=lambda _: [*files, files[0]],
            get_y=vision.parent_label,
            splitter=vision.IndexSplitter([len(files)]),
            item_tfms=vision.Resize(SIZE, method=vision.ResizeMethod.Squish),
            batch_tfms=[
                *vision.aug_transforms(),
                vision.Normalize.from_stats(MEAN, STD),
            ],
        )
        loaders = block.dataloaders(root, bs=BATCH, num_workers=0, device=torch.device("cpu"))
        made = vision.vision_learner(loaders, vision.models.vgg16, pretrained=False)
        made.model[0].load_state_dict(
            {f"0.{key}": value for key, value in convolutions(weights).state_dict().items()}
        )
        return made

    rehearsal = learner()
    times = []
    for start in (rehearsal.freeze, rehearsal.unfreeze):
        start()
        began = time.process_time()
        with rehearsal.no_bar(), rehearsal.no_logging():
            rehearsal.fit_one_cycle(1)
        times.append(time.process_time() - began)
    epochs = max(1, round((seconds - 3 * times[0]) / times[1]))
    print(f"fastai: 3 + {epochs} epochs", flush=True)
    trained = learner()
    with trained.no_bar(), trained.no_logging():
        trained.fine_tune(epochs, freeze_epochs=3)

    def predict(samples: Sequence[Sample]) -> Tensor:
        loader = trained.dls.test_dl([sample.path for sample in samples], num_workers=0)
        with trained.no_bar():
            probs: Tensor = trained.get_preds(dl=loader)[0]
        return probs

    return predict


def plain(root: Path, seed: int, weights: str, seconds: float) -> Predict:
    """A plain torchvision loop that fine-tunes everything.

    Random crops and flips as in PyTorch's transfer-learning tutorial; AdamW at 1e-4, a tenth of it
    for the last third. With the tutorial's SGD at 1e-3 these weights do not leave chance.
    """
    torch.manual_seed(seed)
    size = [
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(MEAN, STD),
    ]
    augment = v2.Compose([v2.RandomResizedCrop(SIZE), v2.RandomHorizontalFlip(), *size])
    resize = v2.Compose([v2.Resize(256), v2.CenterCrop(SIZE), *size])
    photos = ImageFolder(str(root / "train"), augment)
    loader = DataLoader(photos, BATCH, shuffle=True)
    pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    model = nn.Sequential(convolutions(weights), *pool, nn.Linear(512, len(photos.classes)))
    optimizer = torch.optim.AdamW(model.parameters())
    began = time.process_time()
    while (share := (time.process_time() - began) / seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 1e-4 if share < 2 / 3 else 1e-5
        for images, labels in loader:
            optimizer.zero_grad()
            torch.autograd.backward(cross_entropy(model(images), labels))
            optimizer.step()
    model.eval()

    @torch.no_grad()
    def predict(samples: Sequence[Sample]) -> Tensor:
        images = (resize(load_image(sample.path)) for sample in samples)
        return torch.cat([model(image[None]).softmax(1) for image in images])

    return predict


def main() -> None:
    """Trains a side, scores it on every test split and writes the metrics."""
    side, root, seed, weights, seconds, output = sys.argv[1:]
    folder = read_folder(Path(root))
    predict = {"fastai": fastai, "plain": plain}[side](
        Path(root), int(seed), weights, float(seconds)
    )
    metrics: dict[str, float] = {}
    for name, samples in folder.tests.items():
        scores = score_predictions(samples, predict(samples))
        metrics |= {f"test/{name}_{key}": value for key, value in scores.items()}
    Path(output).mkdir(parents=True)
    write_json(Path(output) / "metrics.json", metrics)


if __name__ == "__main__":
    main()

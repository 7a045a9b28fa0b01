"""A plain loop as torchvision's tutorials write it: ImageFolder, DataLoader, transforms.v2."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, default_collate
from torchvision.datasets import ImageFolder
from torchvision.models import vgg16
from torchvision.transforms import v2

from benchmarks.peer_sides.setting import Setting, freeze, small_head
from bookcls.models.weights import MEAN, STD


def train(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], setting: Setting,
          optimizer: torch.optim.Optimizer) -> int:  # fmt: skip
    """One pass; returns the number of images."""
    seen = 0
    for images, target in batches:
        loss = cross_entropy(model(images.to(setting.device)), target.to(setting.device))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        seen += len(images)
    loss.item()
    return seen


def prepare(setting: Setting) -> Callable[[], int]:
    """Builds loader, model and optimizer."""
    transform = v2.Compose([
        v2.Resize((setting.size, setting.size)),
        v2.RandomHorizontalFlip(),
        v2.RandomVerticalFlip(),
        v2.RandomAffine(40, scale=(0.7, 1.3)),
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(MEAN, STD),
        v2.RandomErasing(0.5),
    ])  # fmt: skip
    photos = ImageFolder(f"{setting.root}/train", transform)
    mixup = v2.MixUp(alpha=0.2, num_classes=len(photos.classes))
    loader = DataLoader(
        photos, setting.batch, shuffle=True, num_workers=setting.workers,
        persistent_workers=setting.workers > 0,
        collate_fn=lambda items: mixup(*default_collate(items)),
    )  # fmt: skip
    features = vgg16(weights=None).features
    freeze(features, setting.first)
    model = nn.Sequential(features, small_head(len(photos.classes))).to(setting.device)
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-4)
    return lambda: train(model, loader, setting, optimizer)

"""timm's VGG16 through timm's own dataset, loader and mixup."""

from collections.abc import Callable

import timm
import torch
from timm.data import Mixup, create_dataset, create_loader
from torch import nn

from benchmarks.peer_sides.plain import train
from benchmarks.peer_sides.setting import Setting, freeze, small_head
from benchmarks.setting import NARROW
from bookcls.models.weights import MEAN, STD


def prepare(setting: Setting) -> Callable[[], int]:
    """Builds loader, model and optimizer; timm's loader has no rotation."""
    photos = create_dataset("", root=f"{setting.root}/train")
    classes = len(photos.reader.class_to_idx)
    loader = create_loader(
        photos, (3, setting.size, setting.size), setting.batch, is_training=True,
        use_prefetcher=False, scale=(0.5, 1.0), hflip=0.5, vflip=0.5, color_jitter=None,
        re_prob=0.5, interpolation="bilinear", mean=MEAN, std=STD, num_workers=setting.workers,
        device=setting.device, persistent_workers=setting.workers > 0,
    )  # fmt: skip
    mixup = Mixup(mixup_alpha=0.2, num_classes=classes, label_smoothing=0.0)
    if setting.toy:
        timm.models.vgg.cfgs["vgg16"] = NARROW
    # Its head alone would be 120 million parameters.
    features = timm.create_model("vgg16", num_classes=0).features
    freeze(features, setting.first)
    model = nn.Sequential(features, small_head(classes)).to(setting.device)
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-4)

    def turn() -> int:
        mixed = (mixup(images.float(), target.cpu()) for images, target in loader)
        return train(model, mixed, setting, optimizer)

    return turn

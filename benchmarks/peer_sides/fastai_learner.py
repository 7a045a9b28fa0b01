"""fastai's vision_learner with VGG16, its transforms and its mixup."""

from collections.abc import Callable

from fastai.vision.all import (
    Callback,
    CancelValidException,
    CategoryBlock,
    DataBlock,
    ImageBlock,
    IndexSplitter,
    MixUp,
    RandomErasing,
    Resize,
    ResizeMethod,
    aug_transforms,
    get_image_files,
    models,
    parent_label,
    vision_learner,
)
from torch import nn

from benchmarks.peer_sides.setting import Setting


class NoValidation(Callback):  # type: ignore[misc]  # fastai ships no types
    """No side validates within a turn; fit would, after each epoch."""

    def before_validate(self) -> None:
        """Goes on to the next epoch."""
        raise CancelValidException


def prepare(setting: Setting) -> Callable[[], int]:
    """Builds data loaders and learner."""
    files = get_image_files(f"{setting.root}/train")
    # fastai wants something to validate on: one photo once more.
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_items=lambda _: [*files, files[0]],
        get_y=parent_label,
        splitter=IndexSplitter([len(files)]),
        item_tfms=Resize(setting.size, method=ResizeMethod.Squish),
        batch_tfms=[
            *aug_transforms(flip_vert=True, max_rotate=40, min_zoom=0.7, max_zoom=1.3,
                            max_lighting=0, max_warp=0, p_affine=1),
            RandomErasing(p=0.5, max_count=1),
        ],
    )  # fmt: skip
    loaders = block.dataloaders(
        setting.root, bs=setting.batch, num_workers=setting.workers, device=setting.device,
        persistent_workers=setting.workers > 0,
    )  # fmt: skip

    def split(model: nn.Sequential) -> list[list[nn.Parameter]]:
        layers = list(next(model[0].children()).children())
        frozen = [p for layer in layers[: setting.first] for p in layer.parameters()]
        known = {id(p) for p in frozen}
        return [frozen, [p for p in model.parameters() if id(p) not in known]]

    learner = vision_learner(
        loaders,
        models.vgg16,
        pretrained=False,
        splitter=split,
        cbs=[MixUp(0.2), NoValidation()],
        normalize=True,
    )
    learner.freeze_to(1 if setting.first else 0)

    def turn() -> int:
        with learner.no_bar(), learner.no_logging():
            learner.fit(1, 1e-4)
        return len(loaders.train) * setting.batch  # it drops a smaller last batch

    return turn

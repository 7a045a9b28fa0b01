"""VGG16 (Simonyan & Zisserman, arXiv 1409.1556) under a small head. Plain torch."""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from bookcls.models.layers import NUM_FEATURES, first_trained


class VGG16(nn.Module):
    """torchvision's VGG16 features and a head for few classes.

    Attributes:
        features: torchvision's ``vgg16().features``, so that its weights load unchanged.
        head: Maps the features to logits.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        image_size: int = 128,
        head: str = "gap256",
        dropout: float = 0.0,
        freeze_to: str | int | None = None,
        activation: str = "softmax",
    ) -> None:
        """Builds the network with random weights.

        They are He's (arXiv 1502.01852) by fan-in, which keeps the scale of the activations from
        layer to layer. With torchvision's default, by fan-out, the last features are about fifteen
        times smaller, and without BatchNorm training starts slowly.

        Args:
            num_classes: Number of logits.
            image_size: Side of the input in pixels; only ``flatten256`` depends on it.
            head: ``gap256`` (global average pool, 256 ReLU units), ``flatten256`` (the 2018
                study's: all positions, 256 ReLU units), or ``linear`` (global average pool,
                :class:`PowerNorm`, no hidden layer), the form of the probe.
            dropout: Probability of dropout before each layer of the head.
            freeze_to: See :func:`bookcls.models.layers.first_trained`.
            activation: ``softmax``, or ``sigmoid`` for independent classes.

        Raises:
            BookclsError: If ``freeze_to`` is not a layer.
        """
        super().__init__()
        self.first_trained = first_trained(freeze_to)
        # vgg16() would also initialise the 120 million weights of its classifier, which are unused.
        self.features: nn.Sequential = make_layers(cfgs["D"])
        for module in self.features:
            if isinstance(module, nn.ReLU):
                # An activation that a hook has stored must not be overwritten (activation maps).
                module.inplace = False
        grid = image_size // 32
        pool = nn.Identity() if head == "flatten256" else nn.AdaptiveAvgPool2d(1)
        width = 512 * grid * grid if head == "flatten256" else 512
        parts: dict[str, nn.Module] = {"pool": pool, "flatten": nn.Flatten()}
        if head == "linear":
            parts["norm"] = PowerNorm()
            width_last = width
        else:
            parts |= {"drop1": nn.Dropout(dropout), "fc1": nn.Linear(width, 256)}
            parts["relu"] = nn.ReLU()
            width_last = 256
        parts["drop2"] = nn.Dropout(dropout)
        parts["fc2"] = nn.Linear(width_last, num_classes)
        parts["activation"] = Sigmoids() if activation == "sigmoid" else nn.Identity()
        self.head = nn.Sequential(OrderedDict(parts))
        for name, module in self.named_modules():
            if name == "head.fc2":
                continue
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        self.freeze()

    def freeze(self, *, head_only: bool = False) -> None:
        """Sets ``requires_grad`` of every parameter.

        A frozen prefix costs no activation memory: autograd keeps nothing where nothing upstream
        needs a gradient.

        Args:
            head_only: Freezes all features, for the probe; otherwise those before ``freeze_to``.
        """
        bound = NUM_FEATURES if head_only else self.first_trained
        for index, module in enumerate(self.features):
            module.requires_grad_(index >= bound)
        self.head.requires_grad_(True)

    def forward_frozen(self, images: Tensor) -> Tensor:
        """Applies the frozen layers, those before ``freeze_to``.

        Args:
            images: float32 (N, 3, H, W), normalised.

        Returns:
            Activations, float32 (N, C, H', W').
        """
        activations: Tensor = self.features[: self.first_trained](images)
        return activations

    def forward_trainable(self, activations: Tensor) -> Tensor:
        """Applies the trainable layers to the output of :meth:`forward_frozen`.

        Returns:
            Logits, float32 (N, num_classes).
        """
        logits: Tensor = self.head(self.features[self.first_trained :](activations))
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch.

        Args:
            images: float32 (N, 3, H, W), normalised.

        Returns:
            float32 (N, num_classes).
        """
        logits: Tensor = self.head(self.features(images))
        return logits


class PowerNorm(nn.Module):
    """Square roots of features at least 0, scaled to unit length, float32 (N, D).

    Without it, a few strong channels dominate (Perronnin et al., ECCV 2010).
    """

    def forward(self, features: Tensor) -> Tensor:
        """Normalises float (N, D)."""
        # In half precision the small ones would be lost, and their gradient is steep.
        roots = (features.float().clamp(min=0) + 1e-6).sqrt()
        return nn.functional.normalize(roots, dim=1)


class Sigmoids(nn.Module):
    """Ends a head whose classes are independent: logits in training, their log-sigmoids after it.

    The softmax that callers apply to the output turns these into each class's sigmoid
    over the sum of all.
    """

    def forward(self, logits: Tensor) -> Tensor:
        """Logits, float (N, C), as they are in training; else float32 log-sigmoids."""
        return logits if self.training else nn.functional.logsigmoid(logits.float())


def count_parameters(model: nn.Module, *, trainable_only: bool = False) -> int:
    """Counts the parameters, or only the trainable ones."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable_only)


def to_channels_last(model: nn.Module) -> nn.Module:
    """Converts to the memory format in which convolutions run fastest, on CPUs and tensor cores."""
    return model.to(memory_format=torch.channels_last)

import pytest
import torch
from torchvision.models import vgg16

from bookcls.errors import BookclsError
from bookcls.models.layers import (
    CONV_INDEX,
    NAMES,
    NUM_FEATURES,
    POOL_INDEX,
    block_of,
    first_trained,
)
from bookcls.models.vgg16 import VGG16, count_parameters

STUDY_POINTS = [name for name in NAMES if name not in ("head", "block5_pool")]


def test_names_are_torchvisions_layers():
    features = vgg16(weights=None).features
    assert len(features) == NUM_FEATURES
    convs = [i for i, m in enumerate(features) if isinstance(m, torch.nn.Conv2d)]
    pools = [i for i, m in enumerate(features) if isinstance(m, torch.nn.MaxPool2d)]
    assert list(CONV_INDEX.values()) == convs
    assert list(POOL_INDEX.values()) == pools
    assert [block_of(i) for i in convs] == [1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5]
    assert len(STUDY_POINTS) == 18, "input, thirteen convs and four pools, as in the study"


@pytest.mark.parametrize("wrong", ["block9_conv1", "", -1, 32, True, 1.5])
def test_unknown_layer_lists_the_choices(wrong):
    with pytest.raises(BookclsError, match=r"choose one of input, block1_conv1, .*, head"):
        first_trained(wrong)


def test_a_pool_means_the_next_conv():
    assert first_trained("input") == first_trained(None) == first_trained("block1_conv1") == 0
    for pool, conv in [("block3_pool", "block4_conv1"), ("block4_pool", "block5_conv1")]:
        free = [
            [n for n, p in VGG16(2, freeze_to=name).named_parameters() if p.requires_grad]
            for name in (pool, conv)
        ]
        assert free[0] == free[1]


@pytest.mark.parametrize("freeze_to", [*NAMES, None, 0, 17, 31])
def test_frozen_weights_stay_and_free_ones_move(freeze_to):
    torch.manual_seed(0)
    model = VGG16(3, image_size=32, freeze_to=freeze_to)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    images, target = torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 2, 0])
    torch.nn.functional.cross_entropy(model(images), target).backward()
    optimizer.step()
    bound = first_trained(freeze_to)
    for name, p in model.named_parameters():
        part, index = name.split(".")[:2]
        frozen = part == "features" and int(index) < bound
        assert torch.equal(p, before[name]) == frozen, name


def test_a_frozen_prefix_keeps_no_activations():
    model = VGG16(3, image_size=32, freeze_to="block4_conv1")
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        model(torch.randn(2, 3, 32, 32))
    activations = [shape for shape in kept if len(shape) == 4 and shape[0] == 2]
    assert activations
    assert max(shape[-1] for shape in activations) == 4, "32 px after three pools"


def test_heads():
    assert VGG16(5, image_size=64, head="gap256")(torch.zeros(1, 3, 96, 96)).shape == (1, 5)
    flat = VGG16(5, image_size=64, head="flatten256")
    assert flat.head.fc1.in_features == 512 * 2 * 2
    assert flat(torch.zeros(2, 3, 64, 64)).shape == (2, 5)
    assert (
        count_parameters(VGG16(5, freeze_to="head"), trainable_only=True)
        == 512 * 256 + 256 + 256 * 5 + 5
    )

"""Networks: sizes against published tables, shapes, and what Grad-CAM needs."""

import sys
import types

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from medeor.contracts import UserError
from medeor.imaging.model.convolutional import BasicBlock, SmallCNN
from medeor.imaging.model.network import build, last_features

NAMES = ["small-cnn", "resnet", "resnet50", "convnet"]
TINY = {
    "small-cnn": {"widths": (4, 8)},
    "resnet": {"widths": (8, 16), "blocks": (1, 1)},
    "resnet50": {"widths": (8, 16), "blocks": (1, 1)},
    "convnet": {"widths": (8, 16), "blocks": (1, 1), "kernel": 3},
}


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "options", "published"),
    [
        # torchvision's table of models, https://docs.pytorch.org/vision/stable/models.html
        ("resnet", {}, 11_689_512),
        ("resnet", {"blocks": (3, 4, 6, 3)}, 21_797_672),
        ("resnet50", {}, 25_557_032),
        ("convnet", {}, 28_589_128),
    ],
)
def test_parameter_counts_are_the_published_ones_on_imagenet(name, options, published):
    with torch.device("meta"):
        network = build(name, dimensions=2, channels=3, outputs=1000, size=(224, 224), **options)
    assert parameters(network) == published


@given(
    rows=st.integers(3, 9),
    columns=st.integers(3, 9),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=25, deadline=None)
def test_convolution_is_the_sum_of_products_of_its_definition(rows, columns, kernel, seed):
    """y[i, j] = sum over u, v of w[u, v] x[i + u, j + v]: what the field calls convolution does not flip the kernel."""
    random = np.random.default_rng(seed)
    x, w = random.normal(size=(rows, columns)), random.normal(size=kernel)
    expected = np.zeros((rows - kernel[0] + 1, columns - kernel[1] + 1))
    for i in range(expected.shape[0]):
        for j in range(expected.shape[1]):
            for u in range(kernel[0]):
                for v in range(kernel[1]):
                    expected[i, j] += w[u, v] * x[i + u, j + v]
    layer = nn.Conv2d(1, 1, kernel, bias=False, dtype=torch.float64)
    layer.weight.data[0, 0] = torch.from_numpy(w)
    with torch.no_grad():
        actual = layer(torch.from_numpy(x)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("dimensions", "size"), [(2, (28, 28)), (2, (70, 33)), (3, (9, 12, 10)), (3, (20, 66, 66))])
def test_any_size_in_two_and_three_dimensions_gives_one_row_of_logits_per_image(name, dimensions, size):
    network = build(name, dimensions=dimensions, channels=2, outputs=3, size=size, **TINY[name])
    assert network(torch.randn(4, 2, *size)).shape == (4, 3)


def test_an_axis_of_thick_slices_is_not_halved_before_the_others_have_caught_up():
    size, spacing = (20, 112, 112), (3.5, 1.43, 1.43)
    network = build("resnet", dimensions=3, channels=1, outputs=1, size=size, spacing=spacing, **TINY["resnet"])
    images = torch.randn(1, 1, *size)
    stem = network.stem(images)
    assert stem.shape[2:] == (20, 56, 56)
    assert network.stem[0].kernel_size == (1, 5, 5)
    assert network.stages(stem).shape[2:] == (10, 28, 28)


def test_equal_axes_are_treated_alike():
    network = build(
        "resnet", dimensions=3, channels=1, outputs=1, size=(16, 16, 16), spacing=(1, 1, 1), **TINY["resnet"]
    )
    assert network.stages(network.stem(torch.randn(1, 1, 16, 16, 16))).shape[2:] == (8, 8, 8)


def test_a_maximum_beside_the_mean_sees_one_cell_of_many():
    network = build(
        "resnet", dimensions=2, channels=1, outputs=1, size=(16, 16), pooling="mean and max", **TINY["resnet"]
    ).eval()
    features = torch.zeros(1, 16, 8, 8)
    features[0, 3, 2, 2] = 64.0
    pooled = network.pool(features)
    assert pooled.shape == (1, 32)
    assert (pooled[0, 3], pooled[0, 16 + 3]) == (1.0, 64.0)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(name):
    torch.manual_seed(0)
    network = build(name, dimensions=2, channels=1, outputs=2, size=(16, 16), **TINY[name])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    images, labels = torch.randn(8, 1, 16, 16), torch.arange(8) % 2
    for _ in range(2):  # the first step opens the gates that start at zero
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent


@pytest.mark.parametrize("name", NAMES)
def test_a_network_can_learn_a_tiny_set_by_heart(name):
    torch.manual_seed(0)
    network = build(name, dimensions=2, channels=1, outputs=2, size=(12, 12), **TINY[name])
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    images, labels = torch.randn(8, 1, 12, 12), torch.arange(8) % 2
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
    assert loss < 0.05


def test_group_norm_does_not_let_images_of_a_batch_see_each_other():
    network = build("resnet", dimensions=2, channels=1, outputs=2, size=(16, 16), norm="group", **TINY["resnet"])
    images = torch.randn(6, 1, 16, 16)
    torch.testing.assert_close(network.train()(images)[:2], network(images[:2]), rtol=1e-4, atol=1e-5)


def test_a_residual_block_starts_as_its_shortcut():
    network = build("resnet", dimensions=2, channels=1, outputs=2, size=(16, 16), **TINY["resnet"])
    block = network.stages[0]
    assert isinstance(block, BasicBlock)
    features = torch.rand(2, 8, 16, 16)
    torch.testing.assert_close(block(features), features)


@pytest.mark.parametrize(("dimensions", "size"), [(2, (32, 32)), (3, (16, 16, 16))])
@pytest.mark.parametrize(
    ("name", "path"), [("small-cnn", "features"), ("resnet", "stages"), ("resnet50", "stages"), ("convnet", "features")]
)
def test_last_features_is_the_end_of_the_last_stage(name, path, dimensions, size):
    network = build(name, dimensions=dimensions, channels=1, outputs=2, size=size, **TINY[name])
    assert last_features(network, torch.zeros(1, 1, *size)) is network.get_submodule(path)


def test_last_features_leaves_no_hook_and_keeps_the_mode():
    network = build("resnet", dimensions=2, channels=1, outputs=2, size=(16, 16), **TINY["resnet"]).train()
    last_features(network, torch.zeros(1, 1, 16, 16))
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())


class Squeezed(nn.Module):
    """A user's network: hard-coded, convolving after pooling, its parts declared out of order."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.final = nn.Conv2d(4, outputs, 1)
        self.second = nn.Conv2d(4, 4, 3)
        self.first = nn.Conv2d(1, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = self.second(self.first(images).relu()).relu()
        return self.final(features.mean((2, 3), keepdim=True)).flatten(1)


class Flat(nn.Module):
    def __init__(self, outputs: int, size: tuple[int, ...]) -> None:
        super().__init__()
        self.head = nn.Linear(size[0] * size[1], outputs)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.flatten(1))


@pytest.fixture
def package(monkeypatch):
    module = types.ModuleType("hospital")
    module.Squeezed, module.Flat, module.SmallCNN, module.number = Squeezed, Flat, SmallCNN, lambda: 3
    monkeypatch.setitem(sys.modules, "hospital", module)
    monkeypatch.setenv("MEDEOR_TRUST", "hospital,clinic,nowhere.at.all")


FACTS = {"dimensions": 2, "channels": 1, "outputs": 2, "size": (12, 12)}


@pytest.mark.usefixtures("package")
def test_a_users_network_gets_only_the_facts_that_it_asks_for():
    network = build("hospital:Squeezed", **FACTS)
    assert isinstance(network, Squeezed)
    assert last_features(network, torch.zeros(1, 1, 12, 12)) is network.second


@pytest.mark.usefixtures("package")
def test_a_users_network_takes_options():
    assert build("hospital:SmallCNN", **FACTS, widths=(3, 5)).head.in_features == 5 * 3 * 3


@pytest.mark.usefixtures("package")
def test_a_network_without_feature_maps_cannot_have_a_heat_map():
    with pytest.raises(UserError, match="feature map"):
        last_features(build("hospital:Flat", **FACTS), torch.zeros(1, 1, 12, 12))


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnt", {}, "did you mean 'resnet'"),
        ("transformer-xxl", {}, "choose one of"),
        ("nowhere.at.all:Net", {}, "cannot import 'nowhere.at.all'"),
        ("hospital:Absent", {}, "has no 'Absent'"),
        ("hospital:number", {}, "no subclass of torch.nn.Module"),
        ("elsewhere:Net", {}, "--trust elsewhere"),
        ("hospital.wing:Net", {}, "--trust hospital.wing"),
        ("../hospital:Net", {}, "no name of a module"),
        ("resnet", {"wdths": (4,)}, "no setting 'wdths'.*widths"),
        ("hospital:Squeezed", {"channels": 3}, "fails on images of shape"),
        ("hospital:Squeezed", {"dimensions": 3, "size": (8, 8, 8)}, "fails on images of shape"),
    ],
)
def test_what_is_wrong_with_a_network_is_said(name, options, message):
    with pytest.raises(UserError, match=message):
        build(name, **{**FACTS, **options})


@pytest.mark.usefixtures("package")
def test_logits_of_the_wrong_shape_are_refused(monkeypatch):
    class Stubborn(Squeezed):
        def __init__(self) -> None:
            super().__init__(outputs=5)

    module = types.ModuleType("clinic")
    module.Stubborn = Stubborn
    monkeypatch.setitem(sys.modules, "clinic", module)
    with pytest.raises(UserError, match=r"\(2, 1, 12, 12\) to \(2, 5\); it must give \(2, 2\)"):
        build("clinic:Stubborn", **FACTS)

"""Maps against hand formulas and an independent library, and on a planted lesion that a network truly looks at."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from captum.attr import IntegratedGradients
from scipy import ndimage
from torch import Tensor, nn

from medeor.contracts import Attribution, Cases, Run
from medeor.imaging.model.explain import METHODS, blurred, maps
from medeor.imaging.model.network import build
from medeor.trust.faithfulness import examine

SIZES = {2: (16, 12), 3: (8, 10, 6)}
dimensions_ = pytest.mark.parametrize("dimensions", [2, 3])
methods_ = pytest.mark.parametrize("method", METHODS)


class Pooled(nn.Module):
    """Convolution, activation, mean, linear head: the network of which Grad-CAM has a closed form."""

    def __init__(self, dimensions: int, activation: nn.Module, outputs: int = 3) -> None:
        super().__init__()
        convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
        self.features = nn.Sequential(convolution(2, 5, 3, padding=1), activation)
        self.head = nn.Linear(5, outputs)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images).flatten(2).mean(2))


def pooled(dimensions: int, activation: nn.Module | None = None) -> Pooled:
    torch.manual_seed(0)
    return Pooled(dimensions, activation or nn.ReLU()).eval()


def some_images(dimensions: int, n: int = 4) -> Tensor:
    return torch.randn(n, 2, *SIZES[dimensions], generator=torch.Generator().manual_seed(1))


@dimensions_
def test_grad_cam_of_a_linear_head_is_its_weights_times_the_features(dimensions: int) -> None:
    network, images, places = pooled(dimensions), some_images(dimensions), [0, 2, 1, 2]
    with torch.no_grad():
        features = network.features(images)
    cells = np.prod(SIZES[dimensions])
    expected = torch.relu(torch.einsum("nc,nc...->n...", network.head.weight[places], features)) / cells
    np.testing.assert_allclose(maps(network, images, places, "grad-cam"), expected.detach(), rtol=1e-4, atol=1e-7)


@dimensions_
def test_integrated_gradients_add_up_to_what_the_image_changes(dimensions: int) -> None:
    network, images = pooled(dimensions, nn.Tanh()), some_images(dimensions)
    found = maps(network, images, 1, "integrated-gradients")
    with torch.no_grad():
        change = network(images)[:, 1] - network(blurred(images))[:, 1]
    np.testing.assert_allclose(found.reshape(4, -1).sum(1), change, rtol=1e-4, atol=1e-5)


@dimensions_
def test_integrated_gradients_agree_with_captum(dimensions: int) -> None:
    network, images, places = pooled(dimensions, nn.Tanh()), some_images(dimensions), [0, 2, 1, 2]
    expected = IntegratedGradients(network).attribute(
        images, blurred(images), target=torch.tensor(places), n_steps=64, method="gausslegendre"
    )
    found = maps(network, images, places, "integrated-gradients")
    np.testing.assert_allclose(found, expected.detach().sum(1), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("sides", [(16, 32), (16, 8, 24)])
def test_what_stands_in_for_pixels_is_a_gaussian_blur(sides: tuple[int, ...]) -> None:
    images = torch.randn(2, 3, *sides, dtype=torch.float64)
    sigmas = [0, 0, *(side / 8 for side in sides)]
    expected = ndimage.gaussian_filter(images.numpy(), sigmas, mode="nearest", truncate=3)
    np.testing.assert_allclose(blurred(images), expected, atol=1e-12)


@dimensions_
@methods_
@pytest.mark.parametrize("name", ["small-cnn", "resnet", "convnet"])
def test_every_network_gives_maps_of_the_size_of_its_images(name: str, dimensions: int, method: str) -> None:
    options = {} if name == "small-cnn" else {"widths": (8, 8), "blocks": (1, 1)}
    network = build(name, dimensions=dimensions, channels=2, outputs=3, size=SIZES[dimensions], **options)
    found = maps(network, some_images(dimensions), [0, 1, 2, 0], method)
    assert found.shape == (4, *SIZES[dimensions])
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


@methods_
def test_the_network_is_left_as_it_was(method: str) -> None:
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(2)
    )
    images = some_images(2)
    network(images)
    network.train()
    network[1].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.inference_mode():
        found = maps(network, images, 0, method)
    assert [module.training for module in network] == [True, False, True, True, True]
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    network.eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    np.testing.assert_allclose(maps(network, images, 0, method), found)


@methods_
def test_maps_of_many_images_are_those_of_each(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, images = pooled(2), some_images(2, 7)
    together = maps(network, images, [0, 1, 2, 0, 1, 2, 0], method)
    monkeypatch.setattr("medeor.imaging.model.explain._PIXELS_AT_ONCE", 3 * images[0].numel())
    np.testing.assert_allclose(maps(network, images, [0, 1, 2, 0, 1, 2, 0], method), together, atol=1e-6)
    assert maps(network, images[:0], 0, method).shape == (0, *SIZES[2])


# --- a planted lesion ------------------------------------------------------------------------------------


def patients(dimensions: int, n: int, seed: int) -> tuple[Tensor, Tensor, np.ndarray]:
    """Noise with, in every second image, a bright lump: images, whether it is there, and where (a mask)."""
    generator = np.random.default_rng(seed)
    size = (24,) * dimensions if dimensions == 2 else (12,) * 3
    side = 5 if dimensions == 2 else 4
    images = ndimage.gaussian_filter(generator.normal(size=(n, *size)), (0, *[0.7] * dimensions))
    sick = np.arange(n) % 2
    masks = np.zeros((n, *size), dtype=bool)
    for case in np.flatnonzero(sick):
        corner = generator.integers(1, size[0] - side - 1, dimensions)
        masks[(case, *(slice(c, c + side) for c in corner))] = True
    images[masks] += 1.5
    return torch.from_numpy(images[:, None]).float(), torch.from_numpy(sick).float(), masks


def fresh(dimensions: int, seed: int) -> nn.Module:
    """A network without normalisation, which would let a lesion change the features of all the rest."""
    torch.manual_seed(seed)
    convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
    layers = [convolution(1, 8, 3, padding=1), nn.ReLU(), convolution(8, 8, 3, padding=1), nn.ReLU()]
    pool = nn.AdaptiveAvgPool2d(1) if dimensions == 2 else nn.AdaptiveAvgPool3d(1)
    return nn.Sequential(*layers, pool, nn.Flatten(), nn.Linear(8, 1))


@functools.cache
def trained(dimensions: int) -> nn.Module:
    network = fresh(dimensions, 0)
    images, sick, _ = patients(dimensions, 128, 0)
    optimiser = torch.optim.Adam(network.parameters(), 2e-2)
    for _ in range(15):
        for rows in torch.randperm(128).split(16):
            loss = nn.functional.binary_cross_entropy_with_logits(network(images[rows])[:, 0], sick[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return network.eval()


@dataclass(frozen=True)
class Answering:
    """A network as `trust` asks it; `looked_at` gives the maps, which may be another network."""

    network: nn.Module
    looked_at: nn.Module
    images: Tensor
    method: str

    def attribute(self, cases: Cases, items: Sequence[str], run: Run) -> list[Attribution]:
        found = maps(self.looked_at, self.images, 0, self.method)
        untrained = maps(fresh(self.images.ndim - 2, 99), self.images, 0, self.method)
        return [
            Attribution(case_id, items[i], self.method, found[i], untrained=untrained[i])
            for i, case_id in enumerate(cases.ids)
        ]

    @torch.no_grad()
    def ablate(self, case: Cases, item: str, kept: np.ndarray, run: Run) -> np.ndarray:
        image = self.images[int(case.ids[0])][None]
        partly = torch.where(torch.from_numpy(kept)[:, None], image, blurred(image))
        return self.network(partly)[:, 0].sigmoid().numpy()


@dimensions_
@methods_
def test_maps_of_a_network_that_sees_the_lesion_land_on_it_and_are_shown(dimensions: int, method: str) -> None:
    images, sick, masks = patients(dimensions, 40, 1)
    network = trained(dimensions)
    with torch.no_grad():
        assert (((network(images)[:, 0] > 0).float() == sick).float().mean()) > 0.9
    images, masks = images[sick == 1], masks[sick.numpy() == 1]
    model = Answering(network, network, images, method)
    found = examine(model, table(len(images)), ["yes"] * len(images), Run(Path("unused")))  # type: ignore[arg-type]
    heat = np.stack([np.maximum(e.attribution, 0) for e in found.cases])
    heat = heat / heat.reshape(len(heat), -1).sum(1).reshape(-1, *[1] * dimensions)
    share, area = (heat * masks).reshape(len(heat), -1).sum(1), masks.reshape(len(heat), -1).mean(1)
    assert np.mean(share / area) > 3
    # The pointing game (Zhang et al. 2018), with the tolerance of one cell of the network's last map.
    near = ndimage.binary_dilation(masks, np.ones((1, *[5] * dimensions)))
    peaks = heat.reshape(len(heat), -1).argmax(1)
    assert np.mean(near.reshape(len(heat), -1)[np.arange(len(heat)), peaks]) > 0.8
    assert found.summary[f"{method}/faithfulness/gain"].low > 0  # type: ignore[operator]
    assert found.summary[f"{method}/randomised weights"].value < 0.5  # type: ignore[operator]
    assert found.summary[f"{method}/shown"].value > 0.7  # type: ignore[operator]


@methods_
def test_maps_of_a_network_with_randomised_weights_are_not_shown(method: str) -> None:
    images, sick, _ = patients(2, 40, 1)
    images = images[sick == 1]
    model = Answering(trained(2), fresh(2, 99), images, method)
    found = examine(model, table(len(images)), ["yes"] * len(images), Run(Path("unused")))  # type: ignore[arg-type]
    assert not any(e.shown for e in found.cases)
    assert found.summary[f"{method}/randomised weights"].value == pytest.approx(1, abs=0.01) or all(
        "found nothing" in str(e.reason) for e in found.cases
    )


def table(n: int) -> Cases:
    return Cases(pl.DataFrame({"case_id": [str(i) for i in range(n)]}))

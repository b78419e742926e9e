"""Maps of what a network relies on in an image: Grad-CAM and integrated gradients, for any `nn.Module` in 2-D and 3-D.
`trust.faithfulness` measures whether a map is faithful."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from medeor.imaging.model.network import evaluating, last_features

METHODS = ("grad-cam", "integrated-gradients")
NODES = 32
"""Points of the path from baseline to image at which integrated gradients are taken."""
_PIXELS_AT_ONCE = 1 << 20
"""Pixels or voxels of images that pass the network together: gradients keep every layer in memory."""


def maps(network: nn.Module, images: Tensor, places: int | Sequence[int], method: str) -> np.ndarray:
    """What speaks for output `places[i]` of the network in image i (or one place for all), by a method of `METHODS`.

    Args:
        network: maps (n, channels, *sides) to (n, outputs). It is asked in evaluation mode, left in the mode it was
            in, and its parameters get no gradient.
        images: as the network takes them, shape (n, channels, *sides).

    Returns:
        Shape (n, *sides), float32. Grad-CAM is never negative; integrated gradients add up, over pixels, to the
        output for the image less that for `blurred(image)`.
    """
    explain = {"grad-cam": grad_cam, "integrated-gradients": integrated_gradients}[method]
    device = next((parameter.device for parameter in network.parameters()), images.device)
    chunk = max(1, _PIXELS_AT_ONCE // math.prod(images.shape[1:]))
    with evaluating(network), torch.inference_mode(False), torch.enable_grad():
        asked = torch.as_tensor(places).expand(len(images)).to(device)
        found = [
            explain(network, images[first : first + chunk].to(device).clone(), asked[first : first + chunk]).cpu()
            for first in range(0, len(images), chunk)
        ]
    return torch.cat(found).float().numpy() if found else np.zeros((0, *images.shape[2:]), np.float32)


def grad_cam(network: nn.Module, images: Tensor, places: Tensor) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391): the positive part of the last feature maps'
    sum, each weighted by the mean gradient of the output, enlarged to the image. Shape (n, *sides)."""
    kept: list[Tensor] = []

    def keep(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor:
        kept.append(output)
        # A copy goes on, so that a later layer that works in place leaves ours alone.
        return output.clone()

    images = images.requires_grad_()
    hook = last_features(network, images[:1].detach()).register_forward_hook(keep)
    try:
        outputs = network(images)
    finally:
        hook.remove()
    features = kept[-1]
    (gradients,) = torch.autograd.grad(_chosen(outputs, places), features)
    weights = gradients.flatten(2).mean(2)
    cam = torch.relu(torch.einsum("nc,nc...->n...", weights, features.detach()))
    mode = "bilinear" if images.ndim == 4 else "trilinear"
    return functional.interpolate(cam[:, None], images.shape[2:], mode=mode, align_corners=False)[:, 0]


def integrated_gradients(network: nn.Module, images: Tensor, places: Tensor) -> Tensor:
    """Integrated gradients (Sundararajan, Taly and Yan 2017, https://arxiv.org/abs/1703.01365) from the blurred image,
    by Gauss-Legendre quadrature, summed over channels. Shape (n, *sides)."""
    baseline = blurred(images)
    change = images - baseline
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    total = torch.zeros_like(images)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        between = (baseline + float(node) * change).requires_grad_()
        (gradients,) = torch.autograd.grad(_chosen(network(between), places), between)
        total += float(weight) * gradients
    return (total * change).sum(1)


def blurred(images: Tensor) -> Tensor:
    """What stands in for pixels that are taken away: images of shape (n, channels, *sides) smoothed by a Gaussian of
    an eighth of each side, cut off at three of them, so that shapes go and grey levels stay; beyond its border an image
    goes on as it ends."""
    for axis in range(2, images.ndim):
        side = images.shape[axis]
        place = torch.arange(side, device=images.device, dtype=images.dtype)
        width = round(3 * side / 8)
        beyond = torch.arange(-width, side + width, device=images.device, dtype=images.dtype)
        away = beyond - place[:, None]
        weights = torch.exp(-0.5 * (away / (side / 8)) ** 2) * (away.abs() <= width)
        source = beyond.clamp(0, side - 1).long().expand(side, -1)
        kernel = torch.zeros(side, side, device=images.device, dtype=images.dtype)
        kernel = kernel.scatter_add(1, source, weights / weights.sum(1, keepdim=True))
        images = torch.movedim(torch.movedim(images, axis, -1) @ kernel.T, -1, axis)
    return images


def _chosen(outputs: Tensor, places: Tensor) -> Tensor:
    """The sum of each image's chosen output; no image's output depends on another image's pixels."""
    return outputs.gather(1, places[:, None]).sum()

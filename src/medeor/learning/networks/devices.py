"""Where networks are asked, and how their weights are made and lie there, without all that a fit needs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def device() -> torch.device:
    """Where networks are asked: the first accelerator, or the processor."""
    return torch.accelerator.current_accelerator() or torch.device("cpu")


def fast_bfloat16() -> bool:
    """Whether this machine computes in bfloat16 natively, so that half the width means less time."""
    if torch.accelerator.is_available():
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    flags = torch.backends.cpu.get_cpu_capability()
    return flags.startswith("AVX512") and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def without_numbers() -> bool:
    """Whether networks are built on the meta device, where all but the plainest arithmetic imports PyTorch's compiler:
    that takes longer than an answer."""
    return torch.get_default_device().type == "meta"


def drawn(sides: tuple[int, ...], draw: Callable[[tuple[int, ...]], Tensor]) -> nn.Parameter:
    """A parameter of these sides that starts as what is drawn for it."""
    return nn.Parameter(torch.empty(sides) if without_numbers() else draw(sides))


def channels_last(network: nn.Module) -> nn.Module:
    """The network with its convolution weights laid out channels-last, which CPUs and tensor cores read fastest."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            # `to`, not `contiguous`: a weight of one input channel is contiguous either way and would keep strides that
            # PyTorch reads as channels-first, and with it all that follows: grey images at half the speed.
            module.weight.data = module.weight.data.to(memory_format=torch.channels_last)
        elif isinstance(module, nn.Conv3d):
            module.weight.data = module.weight.data.to(memory_format=torch.channels_last_3d)
    return network

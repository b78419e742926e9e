"""Networks for images built by name, and the door for a user's own `nn.Module`, which needs no registry and no base
class either."""

from __future__ import annotations

import difflib
import importlib
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from medeor import trusted
from medeor.contracts import Message, UserError
from medeor.imaging.model.convolutional import NETWORKS
from medeor.learning.networks.devices import without_numbers


def build(
    name: str,
    *,
    dimensions: int,
    channels: int,
    outputs: int,
    size: Sequence[int],
    spacing: Sequence[float] | None = None,
    **options: Any,
) -> nn.Module:
    """A new network with random weights, checked by one pass over two blank images; on the meta device it has no
    numbers and is not checked, as one that is read back was before it was fitted.

    Args:
        name: a key of `NETWORKS`, or `package.module:Name` for a subclass of `nn.Module` of the user's own, in a module
            that is trusted (`medeor.trusted`). It is called with those of `dimensions`, `channels`, `outputs`, `size`
            and `spacing` that its signature names, and with `options`.
        dimensions: 2 or 3.
        channels: channels of the images.
        outputs: number of logits.
        size: sides of the images in pixels, one per dimension.
        spacing: distances between the voxels along each axis; None where they are alike or not known.
        options: the network's own settings, such as `widths`.

    Raises:
        UserError: for an unknown name or option, a module that is not trusted, or a network that does not map
            `(batch, channels, *size)` to `(batch, outputs)`.
    """
    facts: dict[str, Any] = {"dimensions": dimensions, "channels": channels, "outputs": outputs, "size": tuple(size)}
    facts["spacing"] = None if spacing is None else tuple(spacing)
    if ":" in name:
        # Code of the user's own need not know that tensors may be without numbers.
        with torch.device("cpu"):
            network = _called(name, _imported(name), facts, options)
            _check(name, network, channels, outputs, size)
            return network
    if without_numbers():
        return _called(name, _listed(name), facts, options)
    # Tried without numbers first: sizes that nobody can pay for are refused before memory is taken for them.
    with torch.device("meta"):
        _check(name, _called(name, _listed(name), facts, options), channels, outputs, size)
    return _called(name, _listed(name), facts, options)


def _listed(name: str) -> Callable[..., nn.Module]:
    if name in NETWORKS:
        return NETWORKS[name]
    if close := difflib.get_close_matches(name, NETWORKS, n=1):
        raise UserError("imaging.network.close", name=name, close=close[0])
    raise UserError("imaging.network.unknown", name=name, known=tuple(NETWORKS))


def _imported(name: str) -> type[nn.Module]:
    module, _, attribute = name.partition(":")
    trusted.require(module, Message("imaging.network.named", name=name))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise UserError("imaging.network.import", name=name, module=module, error=error) from error
    except AttributeError as error:
        raise UserError("imaging.network.attribute", name=name, module=module, attribute=attribute) from error
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise UserError("imaging.network.no-module", name=name)
    return found


def _called(name: str, factory: Callable[..., nn.Module], facts: dict[str, Any], options: dict[str, Any]) -> nn.Module:
    parameters = inspect.signature(factory).parameters
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    unknown = [option for option in options if option not in parameters and not open_ended]
    if unknown:
        own = tuple(p for p in parameters if p not in facts) or "-"
        raise UserError("imaging.network.setting", name=name, setting=unknown[0], own=own)
    taken = {fact: value for fact, value in facts.items() if fact in parameters or open_ended}
    try:
        return factory(**taken, **options)
    except ValueError as error:
        raise UserError("imaging.network.settings", name=name, error=error) from error


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode; each of its modules is left in the mode that it was in."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        # From the outside in, so that a part that was frozen by its owner stays so.
        for module, mode in modes:
            module.train(mode)


@torch.no_grad()
def _check(name: str, network: nn.Module, channels: int, outputs: int, size: Sequence[int]) -> None:
    images = torch.zeros(2, channels, *size)
    try:
        with evaluating(network):
            logits = network(images)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise UserError("imaging.network.fails", name=name, shape=tuple(images.shape), error=error) from error
    shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if shape != (2, outputs):
        given = tuple(images.shape)
        raise UserError("imaging.network.logits", name=name, given=given, shape=shape, asked=(2, outputs))


@torch.no_grad()
def last_features(network: nn.Module, images: Tensor) -> nn.Module:
    """The module whose output is the last feature map: where Grad-CAM hooks in.

    It is the last to finish, in a dry run, of the modules that hold a convolution and give a spatial map of more
    than one cell; so it works for any network, and for a residual stage it is the sum that counts.

    Args:
        network: any network of images.
        images: a batch `(batch, channels, *size)` for the dry run; one image is enough.

    Raises:
        UserError: if no module gives a feature map.
    """
    found: list[tuple[nn.Module, int]] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        convolves = any(isinstance(part, nn.Conv2d | nn.Conv3d) for part in module.modules())
        if convolves and isinstance(output, Tensor) and output.ndim == images.ndim:
            found.append((module, math.prod(output.shape[2:])))

    hooks = [module.register_forward_hook(note) for module in network.modules() if module is not network]
    try:
        with evaluating(network):
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise UserError("imaging.network.no-map", name=type(network).__name__)
    maps = [module for module, cells in found if cells > 1] or [module for module, _ in found]
    return maps[-1]

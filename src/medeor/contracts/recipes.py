"""What a network needs to be trained: batches, fitted transformations, a loss, and how it is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor, nn

    from medeor.contracts.data import Cases
    from medeor.contracts.methods import Run
    from medeor.contracts.results import Attribution, Predictions


class Batch(Protocol):
    """One step's worth of examples, as tensors."""

    @property
    def inputs(self) -> Any:
        """What the network is called with: a tensor, or a tuple of them."""
        ...

    def shard(self, rank: int, world: int) -> Batch:
        """The share of one process."""
        ...

    def to(self, device: torch.device) -> Batch: ...


class Batches(Protocol):
    """Training cases in batches. Batch k of an epoch depends on (seed, epoch, cases) alone, so a resumed or a
    distributed fit draws what one uninterrupted process would."""

    def __len__(self) -> int:
        """Batches in an epoch."""
        ...

    def batch(self, epoch: int, index: int) -> Batch: ...


class Processors(Protocol):
    """The transformations that were fitted on the training cases of one model."""

    @property
    def holds_training_values(self) -> bool:
        """See `Model.holds_training_values`."""
        ...

    def to_json(self) -> Mapping[str, object]: ...


S = TypeVar("S")
"""What one recipe sums up of its training cases."""
P = TypeVar("P")
"""Its processors."""
B = TypeVar("B", contravariant=True)
"""Its batches."""


class Recipe(Protocol[S, P, B]):
    """What a network needs; `learning.NetworkMethod(recipe, schedule)` makes it a Method."""

    @property
    def kind(self) -> str:
        """The key in `registry.LOADERS` of the class whose `from_json` rebuilds this recipe."""
        ...

    def to_json(self) -> Mapping[str, object]: ...

    @property
    def joinable(self) -> bool:
        """Whether the summaries of several sites can be added up, so that all are fitted as one; not where processors
        need order (a median) or the cases themselves (a graph)."""
        ...

    def summaries(self, cases: Cases) -> S:
        """Of the training cases of one fold, or one site: all that its processors are fitted on."""
        ...

    def processors(self, summaries: S) -> P: ...

    def restore(self, processors: Mapping[str, object]) -> P:
        """Processors from their `to_json`."""
        ...

    def batches(self, cases: Cases, processors: P, seed: int) -> Batches: ...

    def network(self, processors: P) -> nn.Module:
        """A new network, whose tensors are all parameters or buffers. One that is read back from a file is built on the
        meta device, without numbers (see `learning.networks.devices.drawn`)."""
        ...

    def loss(self, outputs: Tensor, batch: B) -> tuple[Tensor, Tensor]:
        """Sum and weight, so that shards, masks and sites add up."""
        ...

    def infer(self, network: nn.Module, cases: Cases, processors: P, run: Run) -> Iterator[Predictions]:
        """Sliding windows, decoding and ranking live here."""
        ...


@runtime_checkable
class ExplainsNetwork(Protocol):
    """A recipe that gives the reasons of its networks; see `Explains`."""

    def attribute(
        self, network: nn.Module, cases: Cases, items: Sequence[str], processors: Any, run: Run
    ) -> list[Attribution]: ...

    def ablate(
        self, network: nn.Module, case: Cases, item: str, kept: np.ndarray, processors: Any, run: Run
    ) -> np.ndarray: ...


@runtime_checkable
class Exports(Protocol):
    """A recipe whose networks run elsewhere, too."""

    def export_module(self, network: nn.Module, processors: Any) -> tuple[nn.Module, Tensor]:
        """The network with all that stands between prepared inputs and the values of the items, as one module, and
        example inputs: what is asked here and exported elsewhere is the same."""
        ...

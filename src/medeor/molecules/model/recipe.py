"""The recipe of a network of molecules: what it is fed, how it is judged, how it is asked and why it answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from medeor.contracts import Attribution, Cases, Predictions, Run
from medeor.learning.networks.batches import Rows, ShuffledBatches
from medeor.learning.networks.devices import fast_bfloat16
from medeor.learning.networks.heads import Heads, heads_for, heads_from
from medeor.learning.networks.summaries import Summaries, summaries_of
from medeor.learning.saved import AsJson
from medeor.molecules.model import explain
from medeor.molecules.model.network import NETWORKS, Molecules, slices_of
from medeor.molecules.plan import MoleculeNetwork, MoleculePlan, MoleculeTraining
from medeor.molecules.read.graphs import MoleculeGraphs
from medeor.molecules.read.store import MoleculeStore
from medeor.targets import of

ATOMS_AT_ONCE = 16_384
"""Atoms of the molecules that are asked together: the more, the more of them lie in equal environments."""


@dataclass(frozen=True)
class MoleculeProcessors(AsJson):
    """What is fitted on the training compounds of one network."""

    heads: Heads

    holds_training_values: ClassVar[bool] = False


@dataclass(frozen=True)
class MoleculeBatch(Rows):
    """Some molecules of the store with their truth."""

    graphs: MoleculeGraphs
    numbers: np.ndarray
    """Shape (n,): places in the store."""
    truth: Tensor
    """Shape (n, columns), see `Heads.truth`."""
    heads: Heads
    facts: MoleculeNetwork

    @property
    def inputs(self) -> Molecules:
        # Where messages are dropped, each is so by its own chance.
        batch, distinct = self.graphs.batch(self.numbers), self.facts.dropout > 0
        return Molecules.of(batch, len(self.numbers), self.facts.depth, distinct).to(self.truth.device)


@dataclass(frozen=True)
class MoleculeRecipe(AsJson):
    """See `contracts.Recipe`."""

    joinable: ClassVar[bool] = True
    network_facts: MoleculeNetwork
    training: MoleculeTraining
    kind: str = "molecule-recipe"

    @classmethod
    def of(cls, plan: MoleculePlan) -> MoleculeRecipe:
        return cls(plan.network, plan.training)

    def summaries(self, cases: Cases) -> Summaries:
        return summaries_of(cases)

    def processors(self, summaries: Summaries) -> MoleculeProcessors:
        return MoleculeProcessors(heads_for(summaries, self.training.balanced))

    def restore(self, processors: Mapping[str, object]) -> MoleculeProcessors:
        return MoleculeProcessors(heads_from(processors.get("heads"), "model.json"))

    def batches(self, cases: Cases, processors: MoleculeProcessors, seed: int) -> ShuffledBatches[MoleculeBatch]:
        store, heads = cases.store("molecules", MoleculeStore), processors.heads
        numbers = store.rows(cases.table["smiles"])
        every = MoleculeBatch(store.graphs, numbers, heads.truth(cases), heads, self.network_facts)

        def take(rows: Tensor) -> MoleculeBatch:
            return replace(every, numbers=every.numbers[rows.numpy()], truth=every.truth[rows])

        return ShuffledBatches(len(cases), self.training.batch, seed, take)

    def network(self, processors: MoleculeProcessors) -> nn.Module:
        facts = self.network_facts
        return NETWORKS[facts.name](processors.heads.outputs, facts.width, facts.depth, facts.dropout)

    def loss(self, outputs: Tensor, batch: MoleculeBatch) -> tuple[Tensor, Tensor]:
        loss, weight = batch.heads.loss(outputs, batch.truth)
        return loss.sum(), weight.sum()

    def infer(
        self, network: nn.Module, cases: Cases, processors: MoleculeProcessors, run: Run
    ) -> Iterator[Predictions]:
        store = cases.store("molecules", MoleculeStore)
        numbers, place = np.unique(store.rows(cases.table["smiles"]), return_inverse=True)
        values = self._values(network, store.graphs, numbers, processors)
        yield processors.heads.predictions(cases, values[place])

    def attribute(
        self, network: nn.Module, cases: Cases, items: Sequence[str], processors: MoleculeProcessors, run: Run
    ) -> list[Attribution]:
        """By every method of `explain.METHODS`, towards the log-odds of a class, or the number in the target's unit (in
        powers of ten where its logarithm is learned)."""
        store, heads = cases.store("molecules", MoleculeStore), processors.heads
        torch.manual_seed(run.seed + 1)
        untrained = self.network(processors).eval().to(next(network.parameters()).device)
        widths = [spread for target, (_, spread) in zip(heads.targets, heads.scales) for _ in of(target).items]
        reasons = []
        smiles = cases.table["smiles"]
        for case_id, item, text, number in zip(cases.ids, items, smiles, store.rows(smiles), strict=True):
            copies = partial(self._copies, store.graphs, number, network)
            atoms = int(np.diff(store.graphs.atom_start)[number])
            place = heads.items.index(item)
            toward = [_toward(net, place, widths[place]) for net in (network, untrained)]
            for method in explain.METHODS:
                found, random = (explain.atom_weights(values, copies, atoms, method) for values in toward)
                reasons.append(Attribution(case_id, item, method, found, explain.atom_names(text), random))
        return reasons

    def ablate(
        self, network: nn.Module, case: Cases, item: str, kept: np.ndarray, processors: MoleculeProcessors, run: Run
    ) -> np.ndarray:
        """Of an atom that is not kept, and of the bonds at it, nothing is known but how they are joined."""
        store = case.store("molecules", MoleculeStore)
        numbers = np.repeat(store.rows(case.table["smiles"]), len(kept))
        values = self._values(network, store.graphs, numbers, processors, kept)
        return values[:, processors.heads.items.index(item)]

    def _copies(
        self, graphs: MoleculeGraphs, number: int, network: nn.Module, kept: np.ndarray, distinct: bool = False
    ) -> Molecules:
        """See `explain.Copies`."""
        batch = graphs.batch(np.full(len(kept), number))
        one = Molecules.of(batch, len(kept), self.network_facts.depth, distinct, kept.ravel())
        return one.to(next(network.parameters()).device)

    def _values(
        self,
        network: nn.Module,
        graphs: MoleculeGraphs,
        numbers: np.ndarray,
        processors: MoleculeProcessors,
        kept: np.ndarray | None = None,
    ) -> np.ndarray:
        """Values of the items, shape (molecules, items); `kept`, shape (molecules, atoms), where all have as many
        atoms. Molecules of like size are asked together."""
        if not len(numbers):
            return np.empty((0, len(processors.heads.items)))
        atoms = np.diff(graphs.atom_start)[numbers]
        order = np.argsort(atoms, kind="stable")
        values = np.empty((len(numbers), len(processors.heads.items)), np.float32)
        device = next(network.parameters()).device
        with torch.autocast(device.type, torch.bfloat16, enabled=fast_bfloat16()):
            for chunk in slices_of(atoms[order].tolist(), ATOMS_AT_ONCE):
                seen = None if kept is None else kept[order[chunk]].ravel()
                batch = graphs.batch(numbers[order[chunk]])
                some = Molecules.of(batch, len(order[chunk]), self.network_facts.depth, seen=seen).to(device)
                values[order[chunk]] = processors.heads.values(network(some)).cpu().numpy()
        return values


def _toward(network: nn.Module, place: int, width: float) -> explain.Values:
    """The output of the network at one place, in units of `width`."""
    return lambda molecules: network(molecules)[:, place] * width

"""Networks over molecules as graphs, on plain tensors: directed message passing (Yang et al. 2019,
doi:10.1021/acs.jcim.9b00237) and attention over neighbours (Xiong et al. 2020, doi:10.1021/acs.jmedchem.9b00959;
Brody et al. 2022)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from medeor.learning.networks.devices import drawn
from medeor.molecules.model.environments import Links, MessageSchedule, environments
from medeor.molecules.read.graphs import ATOM_CODES, BOND_CODES, DirectedBonds

ATOM_WIDTH = sum(ATOM_CODES.values())
BOND_WIDTH = sum(BOND_CODES.values())

UNIT = 20
"""Atoms whose sum counts as one at the readout. A mean would not know how large a molecule is."""


class Molecules(NamedTuple):
    """Several molecules as one graph; directed bonds 2k and 2k + 1 are the two directions of one bond."""

    atoms: Tensor
    """Shape (kinds of atoms, ATOM_WIDTH): each code as ones and zeros."""
    bonds: Tensor
    """Shape (kinds of bonds, BOND_WIDTH)."""
    atom: Tensor
    """Shape (atoms,): the kind of each."""
    bond: Tensor
    """Shape (directed bonds,): the kind of each."""
    source: Tensor
    """Shape (directed bonds,): the atom that a bond leaves."""
    target: Tensor
    """Shape (directed bonds,): the atom that it enters."""
    molecule: Tensor
    """Shape (atoms,): the molecule of each atom."""
    sizes: Tensor
    """Shape (molecules,): atoms of each."""
    messages: MessageSchedule
    """Those between them."""

    @classmethod
    def of(
        cls, batch: DirectedBonds, count: int, depth: int, distinct: bool = False, seen: np.ndarray | None = None
    ) -> Molecules:
        """For a network of this depth; `distinct` and `seen`: see `environments`."""
        kinds, bond_kinds, messages = environments(batch, count, depth, distinct, seen)
        atom, bond = kinds.one, bond_kinds.one
        atoms = one_hot(torch.from_numpy(batch.atoms[atom]), tuple(ATOM_CODES.values()))
        bonds = one_hot(torch.from_numpy(batch.bonds[bond]), tuple(BOND_CODES.values()))
        if seen is not None:
            atoms *= torch.from_numpy(seen[atom])[:, None]
            bonds *= torch.from_numpy(seen[batch.source[bond]] & seen[batch.target[bond]])[:, None]
        return cls(
            atoms,
            bonds,
            torch.from_numpy(kinds.of),
            torch.from_numpy(bond_kinds.of),
            torch.from_numpy(batch.source),
            torch.from_numpy(batch.target),
            torch.from_numpy(batch.molecule),
            messages.molecules.start.diff(),
            messages,
        )

    def to(self, device: torch.device) -> Molecules:
        return self if self.atoms.device == device else _moved(self, device)

    def scaled(self, share: Tensor) -> Molecules:
        """The same with only a share, shape (atoms,), of what is known of each atom and of the bonds at it, where each
        is a kind of its own."""
        both = share[self.source] * share[self.target]
        return self._replace(atoms=self.atoms * share[:, None], bonds=self.bonds * both[:, None])


def _moved(one: Any, device: torch.device) -> Any:
    if isinstance(one, Tensor):
        return one.to(device, non_blocking=True)
    parts = [_moved(part, device) for part in one]
    return type(one)(*parts) if hasattr(one, "_fields") else tuple(parts)


def one_hot(codes: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Codes of shape (n, columns) as ones and zeros, shape (n, sum of sizes), float32."""
    first = torch.tensor([0, *sizes[:-1]]).cumsum(0)
    return torch.zeros(len(codes), sum(sizes)).scatter_(1, codes.long() + first, 1.0)


def _sums(values: Tensor, place: Tensor, places: int) -> Tensor:
    """The sum of the rows of each place, shape (places, width)."""
    return values.new_zeros(places, values.shape[1]).index_add_(0, place, values)


class _Sum(torch.autograd.Function):
    """The sum of the linked rows at each place, shape (places, width). Its gradient is the same from the other side:
    one pass in cache, where `index_add_` and `index_select` would take five through memory."""

    @staticmethod
    def forward(context: Any, values: Tensor, links: Links) -> Tensor:
        context.links = links
        return _summed(values, links.rows, links.start)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        links = context.links
        return _summed(gradients[0].contiguous(), links.places, links.first), None


def _summed(values: Tensor, rows: Tensor, start: Tensor) -> Tensor:
    return functional.embedding_bag(rows, values, start, mode="sum", include_last_offset=True)


def _at(values: Tensor, place: Tensor) -> Tensor:
    """The rows at these places: as `values[place]`, whose gradient is many times slower where it must be the same
    every time."""
    return values.index_select(0, place)


def _largest(values: Tensor, place: Tensor, places: int) -> Tensor:
    """The largest value of each place, column by column, shape (places, width)."""
    largest = values.new_full((places, values.shape[1]), -torch.inf)
    return largest.scatter_reduce_(0, place[:, None].expand_as(values), values, "amax")


class _Readout(nn.Module):
    """From the sum over a molecule's atoms to outputs: a small dense network."""

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, outputs)
        )

    def forward(self, sums: Tensor) -> Tensor:
        return self.dense(sums / UNIT)


class DirectedMessages(nn.Module):
    """D-MPNN: a message for each direction of a bond, renewed from the messages that enter the atom it leaves, but for
    its own way back."""

    def __init__(self, outputs: int, width: int = 300, depth: int = 3, dropout: float = 0.0) -> None:
        super().__init__()
        self.depth = depth
        self.atom_in = nn.Linear(ATOM_WIDTH, width, bias=False)
        self.bond_in = nn.Linear(BOND_WIDTH, width, bias=False)
        self.renew = nn.Linear(width, width, bias=False)
        self.atom_out = nn.Linear(ATOM_WIDTH, width)
        self.gathered_out = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.readout = _Readout(width, outputs, dropout)

    def forward(self, molecules: Molecules) -> Tensor:
        """Shape (molecules, outputs)."""
        along = molecules.messages
        first = _at(self.atom_in(molecules.atoms), along.leaving)
        first = first + _at(self.bond_in(molecules.bonds), along.along)
        messages = first.relu()
        for one in along.rounds:
            # The sum of what is renewed, for the renewal of the sum: there are fewer messages than sums of them.
            heard = _Sum.apply(self.renew(messages), one.heard)
            messages = self.dropout((_at(first, one.along) + heard).relu())
        kinds, heard = along.ends
        gathered = self.gathered_out(_Sum.apply(messages, heard))
        atoms = self.dropout((_at(self.atom_out(molecules.atoms), kinds) + gathered).relu())
        return self.readout(_Sum.apply(atoms.float(), along.molecules))


class Attention(nn.Module):
    """Atoms that weigh the messages of their neighbours (GATv2), with residual connections."""

    def __init__(self, outputs: int, width: int = 300, depth: int = 3, dropout: float = 0.0, heads: int = 4) -> None:
        super().__init__()
        width = -(-width // heads) * heads
        self.heads = heads
        self.atom_in = nn.Linear(ATOM_WIDTH, width)
        layers = range(depth)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in layers)
        self.says = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in layers)
        self.hears = nn.ModuleList(nn.Linear(width, width) for _ in layers)
        self.bonds = nn.ModuleList(nn.Linear(BOND_WIDTH, width, bias=False) for _ in layers)
        self.weigh = nn.ParameterList(
            drawn((heads, width // heads), lambda sides: torch.randn(sides) * 0.1) for _ in layers
        )
        self.mix = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
            for _ in layers
        )
        self.dropout = nn.Dropout(dropout)
        self.readout = _Readout(width, outputs, dropout)

    def forward(self, molecules: Molecules) -> Tensor:
        """Shape (molecules, outputs)."""
        source, target = molecules.source, molecules.target
        atoms = _at(self.atom_in(molecules.atoms).relu(), molecules.atom)
        for norm, says, hears, bonds, weigh, mix in zip(
            self.norms, self.says, self.hears, self.bonds, self.weigh, self.mix, strict=True
        ):
            calm = norm(atoms)
            sent = _at(says(calm), source) + _at(bonds(molecules.bonds), molecules.bond)
            sent = sent.unflatten(1, (self.heads, -1))
            heard = nn.functional.leaky_relu(sent + _at(hears(calm), target).unflatten(1, (self.heads, -1)), 0.2)
            logits = (heard * weigh).sum(-1)
            share = (logits - _largest(logits.detach(), target, len(atoms))[target]).exp()
            whole = _sums(share, target, len(atoms)).clamp_min(1e-12)
            news = sent * (share / _at(whole, target))[..., None]
            atoms = atoms + self.dropout(_sums(news.flatten(1), target, len(atoms)))
            atoms = atoms + self.dropout(mix(atoms))
        return self.readout(_sums(atoms.float(), molecules.molecule, len(molecules.sizes)))


NETWORKS: dict[str, type[DirectedMessages] | type[Attention]] = {"d-mpnn": DirectedMessages, "attention": Attention}


def slices_of(atoms: list[int], most: int) -> list[slice]:
    """Runs of molecules with at most so many atoms together, and at least one molecule."""
    cuts, held = [0], 0
    for place, size in enumerate(atoms):
        if held and held + size > most:
            cuts.append(place)
            held = 0
        held += size
    return [slice(*both) for both in pairwise([*cuts, len(atoms)])]

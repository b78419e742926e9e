"""Networks over molecules as graphs, on plain tensors: directed message passing (Yang et al. 2019,
doi:10.1021/acs.jcim.9b00237) and attention over neighbours (Xiong et al. 2020, doi:10.1021/acs.jmedchem.9b00959;
Brody et al. 2022)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from medeor.molecules.graphs import ATOM_CODES, BOND_CODES, Batch

ATOM_WIDTH = sum(ATOM_CODES.values())
BOND_WIDTH = sum(BOND_CODES.values())

UNIT = 20
"""Atoms whose sum counts as one at the readout. A mean would not know how large a molecule is."""


class Links(NamedTuple):
    """Which rows are added up, place by place: those of place i are `rows[start[i]:start[i + 1]]`."""

    rows: Tensor
    start: Tensor


class Molecules(NamedTuple):
    """Several molecules as one graph; directed bonds 2k and 2k + 1 are the two directions of one bond."""

    atoms: Tensor
    """Shape (atoms, ATOM_WIDTH): each code as ones and zeros."""
    bonds: Tensor
    """Shape (directed bonds, BOND_WIDTH)."""
    source: Tensor
    """Shape (directed bonds,): the atom that a bond leaves."""
    target: Tensor
    """Shape (directed bonds,): the atom that it enters."""
    molecule: Tensor
    """Shape (atoms,): the molecule of each atom."""
    sizes: Tensor
    """Shape (molecules,): atoms of each."""
    entering: Links
    """The directed bonds that enter each atom."""
    before: Links
    """The directed bonds that enter the atom which each leaves, but for its own way back."""
    after: Links
    """The directed bonds that leave the atom which each enters, but for its own way back."""

    @classmethod
    def of(cls, batch: Batch, count: int) -> Molecules:
        molecule = torch.from_numpy(batch.molecule)
        return cls.linked(
            one_hot(torch.from_numpy(batch.atoms), tuple(ATOM_CODES.values())),
            one_hot(torch.from_numpy(batch.bonds), tuple(BOND_CODES.values())),
            torch.from_numpy(batch.source),
            torch.from_numpy(batch.target),
            molecule,
            torch.bincount(molecule, minlength=count),
        )

    @classmethod
    def linked(
        cls, atoms: Tensor, bonds: Tensor, source: Tensor, target: Tensor, molecule: Tensor, sizes: Tensor
    ) -> Molecules:
        """With the links that follow from the ends of the bonds."""
        entering, leaving = (_by_place(end, len(atoms)) for end in (target, source))
        before, after = _joined(source, entering), _joined(target, leaving)
        return cls(atoms, bonds, source, target, molecule, sizes, entering, before, after)

    def to(self, device: torch.device) -> Molecules:
        if self.atoms.device == device:
            return self

        def moved(one: Tensor) -> Tensor:
            return one.to(device, non_blocking=True)

        return Molecules._make(moved(one) if isinstance(one, Tensor) else Links(*map(moved, one)) for one in self)

    def seen(self, share: Tensor) -> Molecules:
        """The same with only a share, shape (atoms,), of what is known of each atom and of the bonds at it."""
        both = share[self.source] * share[self.target]
        return self._replace(atoms=self.atoms * share[:, None], bonds=self.bonds * both[:, None])

    @property
    def entered(self) -> Links:
        """The atom that each directed bond enters."""
        return Links(self.target, torch.arange(len(self.target) + 1, device=self.target.device))


def _by_place(place: Tensor, places: int) -> Links:
    counts = torch.bincount(place, minlength=places)
    return Links(place.argsort(stable=True), functional.pad(counts.cumsum(0), (1, 0)))


def _joined(end: Tensor, meeting: Links) -> Links:
    """The bonds that meet each directed bond at this end of it; its own reverse, which always does, is left out."""
    counts = meeting.start.diff()[end]
    stop = counts.cumsum(0)
    bond = torch.repeat_interleave(counts)
    place = torch.arange(len(bond), device=end.device) - (stop - counts - meeting.start[end])[bond]
    rows = meeting.rows[place]
    return Links(rows[rows != bond ^ 1], functional.pad((counts - 1).cumsum(0), (1, 0)))


def one_hot(codes: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Codes of shape (n, columns) as ones and zeros, shape (n, sum of sizes), float32."""
    first = torch.tensor([0, *sizes[:-1]]).cumsum(0)
    return torch.zeros(len(codes), sum(sizes)).scatter_(1, codes.long() + first, 1.0)


def _sums(values: Tensor, place: Tensor, places: int) -> Tensor:
    """The sum of the rows of each place, shape (places, width)."""
    return values.new_zeros(places, values.shape[1]).index_add_(0, place, values)


class _Sum(torch.autograd.Function):
    """The sum of the linked rows at each place, shape (places, width). Its gradient is the same over the links in the
    other direction: one pass in cache, where `index_add_` and `index_select` would take five through memory."""

    @staticmethod
    def forward(context: Any, values: Tensor, links: Links, back: Links) -> Tensor:
        context.back = back
        return _linked(values, links)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _linked(gradients[0].contiguous(), context.back), None, None


def _linked(values: Tensor, links: Links) -> Tensor:
    return functional.embedding_bag(links.rows, values, links.start, mode="sum", include_last_offset=True)


def _at(values: Tensor, place: Tensor) -> Tensor:
    """The rows at these places: as `values[place]`, whose gradient is many times slower where it must be the same
    every time."""
    return values.index_select(0, place)


def _largest(values: Tensor, place: Tensor, places: int) -> Tensor:
    """The largest value of each place, column by column, shape (places, width)."""
    largest = values.new_full((places, values.shape[1]), -torch.inf)
    return largest.scatter_reduce_(0, place[:, None].expand_as(values), values, "amax")


class _Readout(nn.Module):
    """From atoms to outputs: the sum over a molecule's atoms, then a small dense network."""

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, outputs)
        )

    def forward(self, atoms: Tensor, molecules: Molecules) -> Tensor:
        return self.dense(_sums(atoms.float(), molecules.molecule, len(molecules.sizes)) / UNIT)


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
        first = _at(self.atom_in(molecules.atoms), molecules.source) + self.bond_in(molecules.bonds)
        messages = first.relu()
        for _ in range(self.depth - 1):
            news = _Sum.apply(messages, molecules.before, molecules.after)
            messages = self.dropout((first + self.renew(news)).relu())
        gathered = self.gathered_out(_Sum.apply(messages, molecules.entering, molecules.entered))
        return self.readout(self.dropout((self.atom_out(molecules.atoms) + gathered).relu()), molecules)


class Attention(nn.Module):
    """Atoms that weigh what each neighbour says (GATv2), with residual connections."""

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
        self.weigh = nn.ParameterList(nn.Parameter(torch.randn(heads, width // heads) * 0.1) for _ in layers)
        self.mix = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
            for _ in layers
        )
        self.dropout = nn.Dropout(dropout)
        self.readout = _Readout(width, outputs, dropout)

    def forward(self, molecules: Molecules) -> Tensor:
        """Shape (molecules, outputs)."""
        source, target = molecules.source, molecules.target
        atoms = self.atom_in(molecules.atoms).relu()
        for norm, says, hears, bonds, weigh, mix in zip(
            self.norms, self.says, self.hears, self.bonds, self.weigh, self.mix, strict=True
        ):
            calm = norm(atoms)
            said = (_at(says(calm), source) + bonds(molecules.bonds)).unflatten(1, (self.heads, -1))
            heard = nn.functional.leaky_relu(said + _at(hears(calm), target).unflatten(1, (self.heads, -1)), 0.2)
            logits = (heard * weigh).sum(-1)
            share = (logits - _largest(logits.detach(), target, len(atoms))[target]).exp()
            whole = _sums(share, target, len(atoms)).clamp_min(1e-12)
            news = said * (share / _at(whole, target))[..., None]
            atoms = atoms + self.dropout(_sums(news.flatten(1), target, len(atoms)))
            atoms = atoms + self.dropout(mix(atoms))
        return self.readout(atoms, molecules)


NETWORKS: dict[str, type[DirectedMessages] | type[Attention]] = {"d-mpnn": DirectedMessages, "attention": Attention}


def lots(atoms: list[int], most: int) -> list[slice]:
    """Runs of molecules with at most so many atoms together, and at least one molecule."""
    cuts, held = [0], 0
    for place, size in enumerate(atoms):
        if held and held + size > most:
            cuts.append(place)
            held = 0
        held += size
    return [slice(*both) for both in pairwise([*cuts, len(atoms)])]

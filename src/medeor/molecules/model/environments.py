"""Equal environments once. Passing messages, two directed bonds are sent the same message if the bonds, and the atoms
up to as many bonds behind them as there were rounds, are the same, in whatever molecules they lie (the colours of
Weisfeiler and Leman, 1968). Of the messages in 64 drug-like molecules one in forty is different from all others in the
first round, one in six in the second and three in eight in the third: a network that computes each of these once gives
the same answers in a fraction of the time."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

import numpy as np

from medeor.molecules.read.graphs import BOND_CODES, DirectedBonds

A = TypeVar("A")
"""Arrays, or the same as tensors."""


class Same(NamedTuple):
    """Which of n things are the same."""

    of: np.ndarray
    """Shape (n,): the number of each one's class."""
    one: np.ndarray
    """Shape (classes,): one thing of each class."""


class Links(NamedTuple, Generic[A]):
    """Which rows are added up, place by place: those of place i are `rows[start[i]:start[i + 1]]`. And the same from
    the other side, for gradients: row j goes into the places `places[first[j]:first[j + 1]]`."""

    rows: A
    start: A
    places: A
    first: A


class Round(NamedTuple, Generic[A]):
    """The different messages of one round."""

    along: A
    """Shape (messages,): for each the message of the first round along the same bond."""
    heard: Links[A]
    """The messages of the round before that each is made of."""


class Environments(NamedTuple):
    """What is computed once for the molecules of a batch, from kinds of atoms and bonds to the whole molecules."""

    atoms: Same
    """Atoms of one kind."""
    bonds: Same
    """Directed bonds of one kind."""
    leaving: np.ndarray
    """Shape (messages of the first round,): the kind of the atom that each leaves."""
    along: np.ndarray
    """Shape (messages of the first round,): the kind of the bond that each follows."""
    rounds: tuple[Round[np.ndarray], ...]
    """All further rounds."""
    ends: Round[np.ndarray]
    """The different atoms when all has been heard; `along` is the kind of each."""
    molecules: Links[np.ndarray]
    """The different atoms that each molecule is made of."""


def environments(
    batch: DirectedBonds, count: int, depth: int, apart: bool = False, seen: np.ndarray | None = None
) -> Environments:
    """The environments of `count` molecules for `depth` rounds of messages, the sum over neighbours after them among
    these. `apart`: every atom and every bond is taken for different from all others. `seen`, shape (atoms,), bool: of
    which atoms anything is known; an atom of which nothing is, and a bond at it, is as any other such.

    Environments are distinguished by hashes of 64 bits: two of 10,000 different ones are taken for the same with a
    chance of 1 in 10^11."""
    same = _apart if apart else _same
    # The eight codes of an atom, of one byte each, are one number of 64 bits.
    atom_key = _mixed(np.ascontiguousarray(batch.atoms).view(np.uint64).ravel())
    bond_key = 1 + np.ravel_multi_index(tuple(batch.bonds.T), tuple(BOND_CODES.values())).astype(np.uint64)
    if seen is not None:
        atom_key = np.where(seen, atom_key, np.uint64(0))
        bond_key = np.where(seen[batch.source] & seen[batch.target], bond_key, np.uint64(0))
    atoms, bonds = same(_mixed(atom_key)), same(_mixed(bond_key))
    order = np.argsort(batch.target, kind="stable")
    start = _starts(np.bincount(batch.target, minlength=len(batch.atoms)))

    def entered(keys: np.ndarray) -> np.ndarray:
        """The sum at each atom; sums beyond 64 bits begin anew, and so do their differences."""
        until = np.concatenate([np.zeros(1, np.uint64), np.cumsum(keys[order])])
        return until[start[1:]] - until[start[:-1]]

    def entering(atoms: np.ndarray, back: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The directed bonds that enter each of these atoms but for the ways back, and how many there are."""
        counts = start[atoms + 1] - start[atoms]
        bonds = order[_runs(start[atoms], counts)]
        return (bonds, counts) if back is None else (bonds[bonds != np.repeat(back, counts)], counts - 1)

    first_key = _mixed(atom_key[batch.source] + bond_key)
    key, now = first_key, same(first_key)
    first, rounds = now, []
    for _ in range(depth - 1):
        back = np.arange(len(key)) ^ 1
        key = _mixed(first_key + _ODD * (entered(key)[batch.source] - key[back]))
        earlier, now = now, same(key)
        bonds_in, counts = entering(batch.source[now.one], back[now.one])
        rounds.append(Round(first.of[now.one], _links(earlier.of[bonds_in], counts, len(earlier.one))))
    ends = same(_mixed(atom_key + _ODD * entered(key)))
    bonds_in, counts = entering(ends.one)
    sizes = np.bincount(batch.molecule, minlength=count)
    return Environments(
        atoms,
        bonds,
        atoms.of[batch.source[first.one]],
        bonds.of[first.one],
        tuple(rounds),
        Round(atoms.of[ends.one], _links(now.of[bonds_in], counts, len(now.one))),
        _links(ends.of, sizes, len(ends.one)),
    )


_ODD = np.uint64(0x9E3779B97F4A7C15)


def _mixed(keys: np.ndarray) -> np.ndarray:
    """Each key as a hash each bit of which depends on all of its own (the finish of splitmix64, Steele et al. 2014)."""
    keys = keys + _ODD
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


def _same(keys: np.ndarray) -> Same:
    """Things of one key. A few may be left alone though there are others like them, where two keys fall to one place:
    that costs a little time, and sorting would cost more."""
    everything = np.arange(len(keys))
    bits = max(12, (8 * len(keys)).bit_length())
    place = (keys >> np.uint64(64 - bits)).astype(np.int64)
    holder = np.empty(1 << bits, np.int64)
    holder[place] = everything
    like = holder[place]
    like = np.where(keys[like] == keys, like, everything)
    one = np.flatnonzero(like == everything)
    number = np.empty(len(keys), np.int64)
    number[one] = np.arange(len(one))
    return Same(number[like], one)


def _apart(keys: np.ndarray) -> Same:
    everything = np.arange(len(keys))
    return Same(everything, everything)


def _starts(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)])


def _runs(first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`first[0], first[0] + 1, …`, so many of them as counts[0] says, then from first[1] on."""
    before = np.cumsum(counts) - counts
    return np.repeat(first - before, counts) + np.arange(counts.sum())


def _links(rows: np.ndarray, counts: np.ndarray, of: int) -> Links[np.ndarray]:
    """`rows`, each below `of`, of which place after place has so many."""
    places = np.repeat(np.arange(len(counts)), counts)
    order = np.argsort(rows, kind="stable")
    return Links(rows, _starts(counts), places[order], _starts(np.bincount(rows, minlength=of)))

"""Messages are shared where, and only where, what lies behind two bonds is the same."""

from __future__ import annotations

from functools import cache

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from medeor.molecules.model.environments import Same, _same, environments
from medeor.molecules.read.graphs import DirectedBonds, graphs

SMILES = ("CC(=O)Oc1ccccc1C(=O)O", "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "C", "[Na+].[Cl-]", "CCCCCC", "OC(=O)c1ccccc1")


def batch_of(*smiles: str) -> DirectedBonds:
    return graphs(smiles).batch(np.arange(len(smiles)))


def behind(batch: DirectedBonds, bond: int, rounds: int) -> object:
    """What the message along a directed bond can know, written out."""

    @cache
    def known(bond: int, rounds: int) -> tuple[object, ...]:
        source = batch.source[bond]
        own = (batch.atoms[source].tobytes(), batch.bonds[bond].tobytes())
        if not rounds:
            return own
        entering = [k for k in np.flatnonzero(batch.target == source).tolist() if k != bond ^ 1]
        return own, tuple(sorted(known(k, rounds - 1) for k in entering))

    return known(bond, rounds)


@given(st.lists(st.sampled_from(SMILES), min_size=1, max_size=4), st.integers(1, 4))
def test_as_many_messages_as_there_are_different_ones(smiles: list[str], depth: int) -> None:
    batch = batch_of(*smiles)
    found = environments(batch, len(smiles), depth)[2]
    counted = [len(found.leaving), *(len(one.along) for one in found.rounds)]
    bonds = range(len(batch.source))
    different = [len({behind(batch, bond, rounds) for bond in bonds}) for rounds in range(depth)]
    assert all(least <= count <= least * 1.2 + 1 for least, count in zip(different, counted, strict=True))
    atoms, _, distinct = environments(batch, len(smiles), depth, distinct=True)
    assert all(len(one.along) == len(batch.source) for one in distinct.rounds)
    assert len(atoms.one) == len(batch.atoms)


@given(st.lists(st.integers(0, 2**64 - 1)), st.integers(1, 5))
def test_what_is_joined_is_the_same_and_most_of_it_is_joined(numbers: list[int], times: int) -> None:
    keys = np.array(numbers * times, np.uint64)
    found: Same = _same(keys)
    assert (keys[found.one][found.of] == keys).all()
    assert (found.of[found.one] == np.arange(len(found.one))).all()


def test_links_say_the_same_from_both_sides() -> None:
    found = environments(batch_of(*SMILES), len(SMILES), 3)[2]
    for links in (*(one.heard for one in found.rounds), found.ends.heard, found.molecules):
        there = np.repeat(np.arange(len(links.start) - 1), np.diff(links.start))
        back = np.repeat(np.arange(len(links.first) - 1), np.diff(links.first))
        assert sorted(zip(links.rows.tolist(), there.tolist())) == sorted(zip(back.tolist(), links.places.tolist()))

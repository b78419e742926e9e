"""Networks of molecules: the published formula written out, order of atoms, attention that adds up, and learning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from medeor.contracts import Cases, Run, Split, Target
from medeor.learning.explain import explainer
from medeor.learning.networks.method import NetworkMethod, load
from medeor.learning.networks.schedule import Schedule
from medeor.molecules.model.network import NETWORKS, DirectedMessages, Molecules, slices_of
from medeor.molecules.model.recipe import MoleculeRecipe
from medeor.molecules.plan import MoleculeNetwork, MoleculeTraining
from medeor.molecules.read.graphs import graphs
from medeor.molecules.read.store import MoleculeStore

SMILES = ("CC(=O)Oc1ccccc1C(=O)O", "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "C", "[Na+].[Cl-]", "CC#N", "C[C@H](N)C(=O)O")


def molecules(*smiles: str, depth: int = 3, apart: bool = False) -> Molecules:
    return Molecules.of(graphs(smiles).batch(np.arange(len(smiles))), len(smiles), depth, apart)


def by_hand(network: DirectedMessages, given: Molecules) -> torch.Tensor:
    """Equations 3 to 8 of Yang et al. 2019, message by message; the sum over atoms in units of 20."""
    source, target = given.source.tolist(), given.target.tolist()
    atom_codes, bond_codes = given.atoms[given.atom], given.bonds[given.bond]
    first = [network.atom_in(atom_codes[v]) + network.bond_in(bond_codes[b]) for b, v in enumerate(source)]
    hidden = [one.relu() for one in first]
    for _ in range(network.depth - 1):
        hidden = [
            (
                first[b]
                + network.renew(
                    sum(
                        (hidden[k] for k in range(len(source)) if target[k] == source[b] and source[k] != target[b]),
                        torch.zeros_like(first[b]),
                    )
                )
            ).relu()
            for b in range(len(source))
        ]
    atoms = []
    for v in range(len(given.atom)):
        heard = sum((hidden[k] for k in range(len(source)) if target[k] == v), torch.zeros(network.renew.in_features))
        atoms.append((network.atom_out(atom_codes[v]) + network.gathered_out(heard)).relu())
    sums = [torch.stack([a for a, m in zip(atoms, given.molecule.tolist()) if m == i]).sum(0)
            for i in range(len(given.sizes))]  # fmt: skip
    return network.readout.dense(torch.stack(sums) / 20)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_directed_messages_are_those_of_the_paper(depth: int, apart: bool) -> None:
    torch.manual_seed(0)
    network = DirectedMessages(3, width=8, depth=depth).eval()
    given = molecules(*SMILES, depth=depth, apart=apart)
    torch.testing.assert_close(network(given), by_hand(network, given))
    weights = tuple(network.parameters())
    slopes = [
        torch.autograd.grad(said.pow(2).sum(), weights, materialize_grads=True)
        for said in (network(given), by_hand(network, given))
    ]
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_what_is_not_known_says_nothing_shared_or_apart(name: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name](2, width=16).eval()
    batch = graphs(SMILES).batch(np.arange(len(SMILES)))
    seen = np.random.default_rng(0).random(len(batch.atoms)) < 0.6
    apart = Molecules.of(batch, len(SMILES), 3, apart=True).scaled(torch.from_numpy(seen).float())
    torch.testing.assert_close(network(Molecules.of(batch, len(SMILES), 3, seen=seen)), network(apart))


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_molecule_is_answered_alike_alone_and_among_others(name: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name](2, width=16).eval()
    together = network(molecules(*SMILES))
    alone = torch.cat([network(molecules(text)) for text in SMILES])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([text for text in SMILES if len(text) > 5 and "." not in text]), st.randoms())
def test_the_order_of_atoms_does_not_matter(text: str, random: object) -> None:
    mol = Chem.MolFromSmiles(text)
    order = list(range(mol.GetNumAtoms()))
    random.shuffle(order)  # type: ignore[attr-defined]
    other = Chem.MolToSmiles(Chem.RenumberAtoms(mol, order), canonical=False)
    for made in NETWORKS.values():
        torch.manual_seed(0)
        network = made(1, width=16).eval()
        torch.testing.assert_close(network(molecules(text)), network(molecules(other)), rtol=1e-4, atol=1e-5)


def test_lots_hold_every_molecule_once_within_bounds() -> None:
    sizes = [5, 3, 9, 1, 1, 20, 2]
    cuts = slices_of(sizes, 10)
    assert [size for cut in cuts for size in sizes[cut]] == sizes
    assert all(sum(sizes[cut]) <= 10 or cut.stop - cut.start == 1 for cut in cuts)


def study(smiles: tuple[str, ...], **answers: list[float | None]) -> Cases:
    ids = [f"c{i}" for i in range(len(smiles))]
    table = pl.DataFrame({"case_id": ids, "group": ids, "smiles": smiles, **answers})
    return Cases(
        table, tuple(Target(name, "continuous") for name in answers), {"molecules": MoleculeStore(table["smiles"])}
    )


def everything(cases: Cases) -> Split:
    return Split(
        pl.DataFrame({"case_id": cases.ids, "part": "train", "fold": pl.Series([0] * len(cases), dtype=pl.Int32)})
    )


def method(name: str = "d-mpnn", epochs: int = 150) -> NetworkMethod:
    recipe = MoleculeRecipe(MoleculeNetwork(name=name, width=48), MoleculeTraining(batch=8))  # type: ignore[arg-type]
    return NetworkMethod(recipe, Schedule(epochs=epochs, learning_rate=3e-3, averaging=0.9))


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_network_learns_a_few_compounds_by_heart_and_comes_back(name: str, tmp_path: Path) -> None:
    cases = study(SMILES, a=[1.0, -2.0, 30.0, 4.0, None, 6.0], b=[None, 1.0, 1.0, 0.0, 0.0, 1.0])
    fitted = method(name, epochs=500).fit(cases, everything(cases), {}, Run(tmp_path / "fit"))
    said = fitted.model.predict(cases, Run(tmp_path)).table
    wide = said.pivot("item", index="case_id", values="value")
    for column in ("a", "b"):
        apart = (wide[column] - cases.table[column]).drop_nulls().abs().max()
        assert apart < 0.1 * cases.table[column].std()  # type: ignore[operator]
    fitted.model.save(tmp_path / "kept")
    assert load(tmp_path / "kept").predict(cases, Run(tmp_path)).table.equals(said)


def test_integrated_gradients_add_up(tmp_path: Path) -> None:
    cases = study(SMILES, a=[1.0, -2.0, 3.0, 4.0, 5.0, 6.0])
    model = method(epochs=20).fit(cases, everything(cases), {}, Run(tmp_path / "fit")).model
    reasons = explainer(model)
    assert reasons is not None
    reason, _ = reasons.attribute(cases.where(pl.col("case_id") == "c0"), ["a"], Run(tmp_path))
    first = cases.where(pl.col("case_id") == "c0")
    atoms = len(reason.values)
    assert atoms == Chem.MolFromSmiles(SMILES[0]).GetNumAtoms()
    kept = np.stack([np.ones(atoms, bool), np.zeros(atoms, bool)])
    whole, nothing = reasons.ablate(first, "a", kept, Run(tmp_path))
    assert reason.values.sum() == pytest.approx(whole - nothing, rel=0.03, abs=0.03)
    assert whole == pytest.approx(model.predict(first, Run(tmp_path)).table["value"][0], rel=0.02)

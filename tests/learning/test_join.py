"""Several sites fit as one: each has a part of the cases, and after each round their weights are joined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from medeor.contracts import Cases, Run, Split, Target, UserError
from medeor.learning.networks.fit import fit_network
from medeor.learning.networks.method import NetworkMethod
from medeor.learning.networks.schedule import Schedule
from medeor.learning.table_network import TableNetwork, TableRecipe

SITES = 2
ROWS = 24


@dataclass(frozen=True)
class LineBatch:
    inputs: Tensor
    truth: Tensor

    def shard(self, rank: int, world: int) -> LineBatch:
        return LineBatch(self.inputs[rank::world], self.truth[rank::world])

    def to(self, device: torch.device) -> LineBatch:
        return self


@dataclass(frozen=True)
class Rounds:
    """One batch an epoch: a round is a step."""

    whole: LineBatch

    def __len__(self) -> int:
        return 1

    def batch(self, epoch: int, index: int) -> LineBatch:
        return self.whole


class Table:
    """Where sites meet: each brings what it has, and all go on with the mean by weight, or with the sum."""

    def __init__(self) -> None:
        self.barrier = Barrier(SITES)
        self.brought: dict[int, object] = {}

    def together(self, site: int, own: object) -> list:
        self.brought[site] = own
        self.barrier.wait(60)
        found = [self.brought[one] for one in range(SITES)]
        self.barrier.wait(60)
        return found


@dataclass(frozen=True)
class Site:
    table: Table
    number: int

    def summaries(self, own):
        first, second = self.table.together(self.number, own)
        return first + second

    def weights(self, own: Mapping[str, Tensor], weight: float) -> Mapping[str, Tensor]:
        found = self.table.together(self.number, (own, weight))
        total = sum(weight for _, weight in found)
        return {name: sum(values[name] * (weight / total) for values, weight in found) for name in own}


def _loss(outputs: Tensor, batch: LineBatch) -> tuple[Tensor, Tensor]:
    return (outputs - batch.truth).square().sum(), torch.tensor(float(len(batch.truth)))


def _fitted(batch: LineBatch, folder: Path, join: Site | None = None) -> dict[str, Tensor]:
    network = nn.Linear(3, 1)
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    schedule = Schedule(epochs=20, optimiser="sgd", learning_rate=0.1, clip=0.0)
    folder.mkdir()
    return fit_network(network, Rounds(batch), _loss, schedule, Run(folder, join=join)).state_dict()


def _at_once(work) -> None:
    threads = [Thread(target=work, args=(site,)) for site in range(SITES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)


def test_two_sites_that_join_after_each_round_fit_what_one_site_with_all_cases_does(tmp_path):
    inputs = torch.from_numpy(np.random.default_rng(0).normal(size=(ROWS, 3))).float()
    whole = LineBatch(inputs, inputs @ torch.tensor([[1.0], [-2.0], [0.5]]) + 1)
    alone = _fitted(whole, tmp_path / "alone")
    table, found = Table(), {}

    def work(site: int) -> None:
        found[site] = _fitted(whole.shard(site, SITES), tmp_path / str(site), Site(table, site))

    _at_once(work)
    for name, value in alone.items():
        for site in range(SITES):
            torch.testing.assert_close(found[site][name], value, rtol=1e-5, atol=1e-6)
    apart = _fitted(whole.shard(0, SITES), tmp_path / "apart")
    assert (apart["weight"] - alone["weight"]).abs().max() > 1e-3


def test_a_network_fitted_to_what_cannot_be_summed_is_refused_to_join(tmp_path):
    table = pl.DataFrame(
        {"case_id": list("abcdef"), "group": list("abcdef"), "x": [1.0, 2, 3, 4, 5, 6], "y": [0, 1] * 3}
    )
    cases = Cases(table, (Target("y", "binary", ("0", "1")),))
    split = Split(pl.DataFrame({"case_id": list("abcdef"), "part": ["train"] * 5 + ["validation"], "fold": [None] * 6}))
    method = NetworkMethod(TableRecipe({"x": "number"}, TableNetwork()), Schedule(epochs=1))
    with pytest.raises(UserError, match="cannot be summed over sites"):
        method.fit(cases, split, {}, Run(tmp_path, join=Site(Table(), 0)))

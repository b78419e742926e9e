"""Link prediction on the UMLS triples: a case is a triple, its prediction the ranks of its tails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import nn

from medeor.contracts import Cases, Measure, Predictions, Study, TaskFacts, UserError
from medeor.files import write_text
from medeor.learning.folds import SingleFit
from medeor.learning.networks.method import NetworkMethod
from medeor.learning.networks.schedule import Schedule
from medeor.settings import with_settings
from road.toy import Numbers, PlainRecipe, PlainTask, TensorBatch


def example(folder: Path, state: str) -> Study | None:
    """Twelve on a wheel, and who stands one and two places on."""
    if state not in ("whole", "no cases"):
        return None
    turns = [f"n{head}\tby {turn}\tn{(head + turn) % 12}\n" for turn in (1, 2) for head in range(12)]
    turns = turns if state == "whole" else []
    for part, rows in {"train": slice(6, None), "valid": slice(3, 6), "test": slice(3)}.items():
        write_text(folder / f"{part}.txt", "".join(turns[rows]))
    return Study((str(folder),), "toy-links", settings={"schedule.epochs": "2"})


FACTS = TaskFacts("toy-links", "a toy", "road.links:LinkTask", "", "triples", {}, example="road.links:example")
LOADERS = {"link-recipe": "road.links:LinkRecipe"}


@dataclass(frozen=True)
class LinkPlan:
    entities: int
    relations: int
    schedule: Schedule = field(
        default_factory=lambda: Schedule(epochs=30, learning_rate=0.01, averaging=0.0, weight_decay=0.0)
    )


class DistMult(nn.Module):
    """Scores every tail of a head and a relation (Yang et al. 2015)."""

    def __init__(self, entities: int, relations: int) -> None:
        super().__init__()
        self.entity, self.relation = nn.Embedding(entities, 64), nn.Embedding(2 * relations, 64)

    def forward(self, pairs):
        return (self.entity(pairs[:, 0]) * self.relation(pairs[:, 1])) @ self.entity.weight.T


@dataclass(frozen=True)
class Triples:
    triples: torch.Tensor
    seed: int

    def __len__(self) -> int:
        return -(-len(self.triples) // 256)

    def batch(self, epoch: int, index: int) -> TensorBatch:
        order = torch.randperm(len(self.triples), generator=torch.Generator().manual_seed(self.seed * 1000 + epoch))
        rows = self.triples[order[index * 256 : (index + 1) * 256]]
        return TensorBatch(rows[:, :2], rows[:, 2])


@dataclass(frozen=True)
class LinkRecipe(PlainRecipe):
    entities: int
    relations: int
    kind: str = "link-recipe"

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> LinkRecipe:
        return cls(values["entities"], values["relations"])

    def to_json(self):
        return {"entities": self.entities, "relations": self.relations}

    def batches(self, cases, processors, seed):
        h, r, t = cases.table.select("head", "relation", "tail").to_numpy().T
        both = np.column_stack([np.r_[h, t], np.r_[r, r + self.relations], np.r_[t, h]])
        return Triples(torch.from_numpy(both.astype(np.int64)), seed)

    def network(self, processors):
        return DistMult(self.entities, self.relations)

    def loss(self, outputs, batch):
        each = nn.functional.cross_entropy(outputs, batch.truth, reduction="none")
        return each.sum(), torch.tensor(float(len(each)))

    def infer(self, network, cases, processors, run):
        known = cases.store("numbers", Numbers).arrays["triples"]
        triples = torch.from_numpy(cases.table.select("head", "relation", "tail").to_numpy().astype(np.int64))
        scores = network(triples[:, :2])
        own = scores.gather(1, triples[:, 2:])
        taken = {}
        for h, r, t in known.tolist():
            taken.setdefault((h, r), []).append(t)
        for i, (h, r, t) in enumerate(triples.tolist()):
            scores[i, [other for other in taken[h, r] if other != t]] = -torch.inf
        rank = 1 + (scores > own).sum(1) + ((scores == own).sum(1) - 1) / 2
        yield Predictions(pl.DataFrame({"case_id": cases.ids, "item": "rank", "value": rank.double().numpy()}))


class LinkTask(PlainTask):
    steps = ("read", "split", "plan", "fit", "evaluate", "bundle")
    plan_type = LinkPlan

    def read(self, sources, study):
        (folder,) = map(Path, sources.given)
        parts = {"train": "train", "valid": "validation", "test": "test"}
        table = pl.concat(
            pl.read_csv(
                folder / f"{file}.txt",
                separator="\t",
                has_header=False,
                new_columns=["h", "r", "t"],
                raise_if_empty=False,
            ).with_columns(part=pl.lit(part))
            for file, part in parts.items()
        )
        if table.is_empty():
            raise UserError(f"{folder} holds no triples")
        entities = sorted({*table["h"], *table["t"]})
        relations = sorted(set(table["r"]))
        table = table.select(
            case_id=pl.int_range(pl.len()).cast(pl.String),
            group=pl.int_range(pl.len()).cast(pl.String),
            part="part",
            head=pl.col("h").replace_strict(entities, range(len(entities))),
            relation=pl.col("r").replace_strict(relations, range(len(relations))),
            tail=pl.col("t").replace_strict(entities, range(len(entities))),
        )
        return Cases(table, (), {"numbers": Numbers({"triples": table.select("head", "relation", "tail").to_numpy()})})

    def plan(self, cases, split, budget):
        plan = LinkPlan(int(cases.table["tail"].max()) + 1, int(cases.table["relation"].max()) + 1)
        return with_settings(plan, budget.settings, "--set")

    def method(self, plan):
        return SingleFit(NetworkMethod(LinkRecipe(plan.entities, plan.relations), plan.schedule))

    def baseline(self, plan):
        return SingleFit(NetworkMethod(LinkRecipe(plan.entities, plan.relations), Schedule(epochs=1)))

    def evaluate(self, cases, predictions):
        ranks = predictions.table["value"].to_numpy()
        return {
            "mrr": Measure(float((1 / ranks).mean()), n=len(ranks)),
            "hits@10": Measure(float((ranks <= 10).mean())),
        }

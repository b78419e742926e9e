"""medeor's speed on graphs: `python -m bench.sides.medeor_graphs TRIPLES PATH THREADS`, where TRIPLES holds the arrays
`train` and `test`, shape (n, 3), and PATH is `train` (the fit loop as `NetworkMethod` calls it), `evaluate` (filtered
ranks of both sides), or one of these followed by ` limit`: the same arithmetic on what is already made."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.sides import answer
from bench.sides.graph_work import BATCH, DIMENSION, NEGATIVES, RATE
from medeor.contracts import Run
from medeor.knowledge.model.batches import batches_of
from medeor.knowledge.model.loss import graph_loss
from medeor.knowledge.model.network import Completer, Scored
from medeor.knowledge.model.processors import GraphProcessors
from medeor.knowledge.model.ranking import ranks
from medeor.knowledge.plan import Embedding, GraphTraining
from medeor.knowledge.read.triples import both_ways
from medeor.learning.networks.fit import _optimiser, fit_network
from medeor.learning.networks.schedule import Schedule

MEMORY = 1 << 30
# A batch of triples asks twice as many questions.
TRAINING = GraphTraining("negatives", "binary", batch=2 * BATCH, negatives=NEGATIVES, typed=False)
SCHEDULE = Schedule(epochs=1, learning_rate=RATE, weight_decay=0.0, averaging=0.0, clip=0.0, checkpoint=1 << 30)


def work(path: str, train: Tensor, test: Tensor) -> Callable[[], object]:
    """What is timed."""
    entities, relations = (int(torch.cat((train, test))[:, columns].max()) + 1 for columns in ([0, 2], [1]))
    names = tuple(map(str, range(entities))), tuple(map(str, range(relations)))
    processors = GraphProcessors(*names, torch.cat((train, test)), len(train))
    batches = batches_of(processors.training_triples, entities, relations, TRAINING, 0)
    network = Completer(processors, Embedding(dimension=DIMENSION, reciprocal=False), batches.chunk)

    def loss(outputs: Scored, batch: object) -> tuple[Tensor, Tensor]:
        return graph_loss(outputs, batch, TRAINING, 0.0)

    if path == "train":

        def fit() -> None:
            with tempfile.TemporaryDirectory() as room:
                fit_network(network.train(), batches, loss, SCHEDULE, Run(Path(room)))

        return fit
    if path == "train limit":
        made = [batches.batch(0, index) for index in range(len(batches))]
        optimiser = _optimiser(network.train(), SCHEDULE)

        def steps() -> None:
            for batch in made:
                total, weight = loss(network(batch.inputs), batch)
                (total / weight).backward()
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)

        return steps
    questions = both_ways(test, relations)
    network.eval()

    def evaluate() -> None:
        # What is known is looked up anew each time, as the other side does.
        network.__dict__.pop("known", None)
        with torch.inference_mode():
            ranks(network.candidate_scorer(), questions, network.known, MEMORY)

    def compare() -> None:
        with torch.inference_mode():
            for lot in questions.split(512):
                scores = network.candidate_scorer()(lot[:, :2])
                (scores > scores.gather(1, lot[:, 2:])).sum(1)

    return compare if path == "evaluate limit" else evaluate


def main() -> None:
    source, path, threads = sys.argv[1:4]
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    with np.load(source) as arrays:
        train, test = (torch.from_numpy(arrays[name].astype(np.int32)) for name in ("train", "test"))
    timed = work(path, train, test)
    count = len(train) if path.startswith("train") else len(test)

    def stretch() -> float:
        began = time.perf_counter()
        timed()
        return count / (time.perf_counter() - began)

    answer(stretch)


if __name__ == "__main__":
    main()

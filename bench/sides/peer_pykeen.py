"""PyKEEN's speed: `python -m bench.sides.peer_pykeen TRIPLES PATH THREADS`, where TRIPLES holds the arrays `train` and
`test`, shape (n, 3), and PATH is `train` (its stochastic loop with its basic negatives) or `evaluate BATCH` (its
filtered ranks, in batches of so many triples; 0: of the size that it finds itself)."""

from __future__ import annotations

import itertools
import logging
import sys
import time

import numpy as np
import torch

logging.disable(logging.WARNING)

from pykeen.evaluation import RankBasedEvaluator  # noqa: E402
from pykeen.models import ComplEx  # noqa: E402
from pykeen.training import SLCWATrainingLoop  # noqa: E402
from pykeen.triples import CoreTriplesFactory  # noqa: E402

from bench.sides import answer  # noqa: E402
from bench.sides.graph_work import BATCH, DIMENSION, NEGATIVES, RATE  # noqa: E402


def main() -> None:
    source, path, threads = sys.argv[1:4]
    torch.set_num_threads(int(threads))
    with np.load(source) as arrays:
        train, test = (torch.from_numpy(arrays[name].astype(np.int64)) for name in ("train", "test"))
    every = torch.cat((train, test))
    sizes = {"num_entities": int(every[:, [0, 2]].max()) + 1, "num_relations": int(every[:, 1].max()) + 1}
    factory = CoreTriplesFactory(train, **sizes)
    model = ComplEx(triples_factory=factory, embedding_dim=DIMENSION // 2, loss="softplus", random_seed=0)
    if path == "train":
        loop = SLCWATrainingLoop(
            model=model,
            triples_factory=factory,
            optimizer=torch.optim.Adam(model.parameters(), lr=RATE),
            negative_sampler="basic",
            negative_sampler_kwargs={"num_negs_per_pos": NEGATIVES},
        )

        epochs = itertools.count(1)

        def timed() -> None:
            # It counts all its epochs: asked for one again, it would train nothing.
            loop.train(factory, num_epochs=next(epochs), batch_size=BATCH, use_tqdm=False)

    else:
        evaluator = RankBasedEvaluator(filtered=True)
        size = int(path.split()[1]) or None

        def timed() -> None:
            evaluator.evaluate(model, test, additional_filter_triples=[train], batch_size=size, use_tqdm=False)

    def stretch() -> float:
        began = time.perf_counter()
        timed()
        return len(train if path == "train" else test) / (time.perf_counter() - began)

    answer(stretch)


if __name__ == "__main__":
    main()

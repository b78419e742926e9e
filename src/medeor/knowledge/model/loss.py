"""What is held against the scores of a batch of questions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from medeor.knowledge.model.batches import GraphBatch
from medeor.knowledge.model.network import Scored
from medeor.knowledge.plan import GraphTraining


def graph_loss(outputs: Scored, batch: GraphBatch, training: GraphTraining, n3: float) -> tuple[Tensor, Tensor]:
    """Sum over the questions, and their number.

    Cross-entropy: of the answer, or of several answers alike, among the candidates. Binary: each candidate is an
    answer or not; averaged over all entities, or the answer and the weighted mean of the drawn ones (Sun et al. 2019,
    equation 5)."""
    logits, truth = outputs.logits, batch.truth
    if training.loss == "binary" and training.scheme == "negatives":
        each = _against_drawn(logits, training.adversarial)
    elif training.loss == "binary":
        whole = truth if truth.is_floating_point() else functional.one_hot(truth, logits.shape[1]).to(logits.dtype)
        smooth = (1 - training.smoothing) * whole + training.smoothing / logits.shape[1]
        each = functional.binary_cross_entropy_with_logits(logits, smooth, reduction="none").mean(1)
    else:
        goal = truth / truth.sum(1, keepdim=True) if truth.is_floating_point() else truth.flatten()
        # A drawn entity that is the answer itself stands at minus infinity, which smoothing would find.
        smoothing = 0.0 if training.scheme == "negatives" else training.smoothing
        each = functional.cross_entropy(logits, goal, reduction="none", label_smoothing=smoothing)
    total = each.sum() + n3 * outputs.penalty.sum() if n3 else each.sum()
    return total, torch.tensor(float(len(logits)), device=logits.device)


def _against_drawn(logits: Tensor, temperature: float) -> Tensor:
    right, wrong = logits[:, 0], logits[:, 1:]
    weight = (
        torch.softmax(temperature * wrong.detach(), 1) if temperature else torch.full_like(wrong, 1 / wrong.shape[1])
    )
    return (functional.softplus(-right) + (weight * functional.softplus(wrong)).sum(1)) / 2

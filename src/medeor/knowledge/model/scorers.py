"""How plausible a triple is. A scorer turns the known entity and the relation into a query vector, which is compared
with candidate entities by inner product or distance: so every scorer works with every training scheme and ranking,
and all candidates are scored by one matrix product."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medeor.contracts import UserError


@dataclass(frozen=True)
class Scorer:
    """One way to compose an entity with a relation."""

    query: Callable[[Tensor, Tensor], Tensor]
    """Entities, shape (..., d), and relations, shape (..., w), to queries, shape (..., d)."""
    inverse: Callable[[Tensor], Tensor] | None
    """The relation from tail to head, shape (..., w): a triple scores the same from either side. None where there is
    none in closed form, so that inverse relations must be trained (`reciprocal`)."""
    distance: bool = False
    """Whether candidates are compared by Euclidean distance instead of inner product."""
    pairs: bool = False
    """Whether the numbers of an entity are pairs of a real and an imaginary part, which takes an even dimension."""

    def width(self, dimension: int) -> int:
        """Numbers of a relation."""
        return dimension // 2 if self.distance and self.pairs else dimension


def _complex(values: Tensor) -> Tensor:
    return torch.view_as_complex(values.unflatten(-1, (-1, 2)))


def _real(values: Tensor) -> Tensor:
    return torch.view_as_real(values).flatten(-2)


def _multiply(entity: Tensor, relation: Tensor) -> Tensor:
    return _real(_complex(entity) * _complex(relation))


def _conjugate(relation: Tensor) -> Tensor:
    return _real(_complex(relation).conj().resolve_conj())


def _rotate(entity: Tensor, phase: Tensor) -> Tensor:
    return _real(_complex(entity) * torch.polar(torch.ones_like(phase), phase))


SCORERS: dict[str, Scorer] = {
    # Yang et al. 2015, https://arxiv.org/abs/1412.6575: symmetric in head and tail
    "distmult": Scorer(torch.mul, torch.clone),
    # Trouillon et al. 2016, https://arxiv.org/abs/1606.06357: Re<h, r, conj t>
    "complex": Scorer(_multiply, _conjugate, pairs=True),
    # Bordes et al. 2013: -|h + r - t|
    "transe": Scorer(torch.add, torch.neg, distance=True),
    # Sun et al. 2019, https://arxiv.org/abs/1902.10197: -|h e^{i phase} - t|, here with the Euclidean norm over all
    # coordinates, which a matrix product can compute
    "rotate": Scorer(_rotate, torch.neg, distance=True, pairs=True),
    # Dettmers et al. 2018, https://arxiv.org/abs/1707.01476: the query is a small network, see `Convolution`
    "conve": Scorer(lambda entity, relation: entity, None),
}


def compare(queries: Tensor, candidates: Tensor, distance: bool) -> Tensor:
    """Every query with every candidate: shapes (..., n, d) and (..., m, d) to (..., n, m), the higher the closer.
    Distances go by |q|² + |c|² - 2 q·c, so that nothing of shape (n, m, d) is ever held."""
    product = queries @ candidates.transpose(-1, -2)
    if not distance:
        return product
    squares = queries.square().sum(-1)[..., :, None] + candidates.square().sum(-1)[..., None, :]
    return -(squares - 2 * product).clamp_min(1e-9).sqrt()


def match(queries: Tensor, answers: Tensor, distance: bool) -> Tensor:
    """Each query with its own answer: shapes (..., d) twice to (...)."""
    if not distance:
        return (queries * answers).sum(-1)
    return -(queries - answers).square().sum(-1).clamp_min(1e-9).sqrt()


def cubes(values: Tensor, pairs: bool) -> Tensor:
    """Sum of the cubed moduli of the coordinates, shape (..., d) to (...): the nuclear 3-norm (N3) of Lacroix et al.
    2018, https://arxiv.org/abs/1806.07297."""
    return (_complex(values) if pairs else values).abs().pow(3).sum(-1)


class Convolution(nn.Module):
    """The query of ConvE: entity and relation stacked as one picture, convolved, and projected back."""

    def __init__(self, dimension: int, dropout: float, channels: int = 32, height: int = 10) -> None:
        super().__init__()
        if dimension % height or dimension // height < 3:
            least = 3 * height
            raise UserError("knowledge.model.conve-dimension", height=height, least=least, dimension=dimension)
        self.height, self.across = height, dimension // height
        self.before, self.after, self.last = nn.BatchNorm2d(1), nn.BatchNorm2d(channels), nn.BatchNorm1d(dimension)
        self.convolution = nn.Conv2d(1, channels, 3)
        self.project = nn.Linear(channels * (2 * height - 2) * (self.across - 2), dimension)
        self.drop_map, self.drop = nn.Dropout2d(dropout / 2), nn.Dropout(dropout)

    def forward(self, entity: Tensor, relation: Tensor) -> Tensor:
        shape = entity.shape
        picture = torch.cat((entity, relation), -1).view(-1, 1, 2 * self.height, self.across)
        found = self.drop_map(torch.relu(self.after(self.convolution(self.before(picture)))))
        return torch.relu(self.last(self.drop(self.project(found.flatten(1))))).view(shape)

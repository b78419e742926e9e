"""Random numbers by counter: what a case draws follows from (seed, epoch, case) alone, and depends neither on the batch
that it is in, nor on the order of cases, nor on the number of processes."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def _signed(value: int) -> int:
    """The 64-bit pattern of `value` as the signed integer that torch holds."""
    value %= 1 << 64
    return value - (1 << 64) if value >> 63 else value


_STEP, _MIX1, _MIX2 = _signed(0x9E3779B97F4A7C15), _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)


def _shifted(bits: Tensor, by: int) -> Tensor:
    # torch shifts signed integers arithmetically; the mask makes it the logical shift of the algorithm.
    return (bits >> by) & ((1 << (64 - by)) - 1)


def _mixed(bits: Tensor) -> Tensor:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014, https://doi.org/10.1145/2660193.2660195)."""
    bits = (bits ^ _shifted(bits, 30)) * _MIX1
    bits = (bits ^ _shifted(bits, 27)) * _MIX2
    return bits ^ _shifted(bits, 31)


def case_keys(seed: int, epoch: int, cases: Tensor) -> Tensor:
    """One 64-bit key per case: `cases` are the integer numbers `(n,)` of the cases in the study, on any device."""
    start = _mixed(torch.tensor(_signed(seed)) + _STEP)
    start = _mixed((start ^ epoch) + _STEP)
    return _mixed((cases.to(torch.int64) ^ start.to(cases.device)) + _STEP)


def _bits(keys: Tensor, counters: Tensor) -> Tensor:
    return _mixed(keys[:, None] + (counters + 1) * _STEP)


def uniform(keys: Tensor, stream: int, count: int = 1) -> Tensor:
    """Numbers in [0, 1), `(n, count)`; each stream (0 to 2^20) of a key has numbers of its own."""
    counters = torch.arange(count, device=keys.device) + (stream << 40)
    return _shifted(_bits(keys, counters), 40).to(torch.float32) * 2.0**-24


def normal(keys: Tensor, stream: int, count: int) -> Tensor:
    """Standard normal numbers `(n, count)`, two from each hash (Box & Muller 1958)."""
    counters = torch.arange((count + 1) // 2, device=keys.device) + (stream << 40)
    bits = _bits(keys, counters)
    radius = (_shifted(bits, 40).to(torch.float32).add_(1).mul_(2.0**-24)).log_().mul_(-2).sqrt_()
    angle = (bits & 0xFFFFFF).to(torch.float32).mul_(2 * math.pi * 2.0**-24)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :count]

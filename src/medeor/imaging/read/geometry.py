"""How volumes lie in the patient, where it cannot be taken for granted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medeor.contracts import Finding, Message

LEAN = 2.0
"""Degrees by which slices may lean without a finding."""


def lean_of(affine: np.ndarray | None) -> float | None:
    """Degrees by which the axes of a volume are off the right angle; None where its place is unknown."""
    if affine is None:
        return None
    axes = affine[:3, :3] / np.maximum(np.linalg.norm(affine[:3, :3], axis=0), 1e-12)
    off = np.abs(axes.T @ axes - np.eye(3)).max()
    return float(np.degrees(np.arcsin(min(off, 1.0))))


def geometry_findings(leans: Sequence[float | None], solid: Sequence[bool], ids: Sequence[str]) -> list[Finding]:
    """Findings on volumes whose slices are shifted against each other, and on some of unknown orientation."""
    findings = []
    leaning = [row for row, lean in enumerate(leans) if solid[row] and lean is not None and lean > LEAN]
    if leaning:
        most = max(lean for lean in leans if lean is not None)
        message = Message("imaging.geometry.leaning", count=len(leaning), most=most)
        findings.append(Finding("leaning-slices", "quality", "unknown", message, tuple(ids[row] for row in leaning)))
    lost = [row for row, lean in enumerate(leans) if solid[row] and lean is None]
    if 0 < len(lost) < sum(solid):
        message = Message("imaging.geometry.unknown", count=len(lost), volumes=sum(solid))
        findings.append(Finding("unknown-orientation", "quality", "fail", message, tuple(ids[row] for row in lost)))
    return findings

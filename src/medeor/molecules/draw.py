"""Compounds drawn as SVG, with what each atom adds to a prediction as a colour behind it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

from medeor.contracts import UserError
from medeor.molecules.read.standardise import molecule

LOWERS, RAISES = (0.369, 0.235, 0.600), (0.902, 0.380, 0.004)
"""Purple and orange: the ends of ColorBrewer's scale PuOr, distinct also to the colour-blind (Brewer 2003)."""
SIZE = (360, 270)
"""Width and height in pixels."""
LARGEST = 250
"""Atoms beyond which a drawing cannot be read."""

_LEGEND = 34


def draw(
    smiles: str,
    weights: np.ndarray | None = None,
    *,
    unit: str = "",
    most: float | None = None,
    size: tuple[int, int] = SIZE,
) -> str:
    """A molecule as SVG without scripts, outside addresses or fonts of its own.

    Args:
        smiles: the compound; atoms are counted in the order in which it writes them.
        weights: what each atom adds, shape (atoms,): orange raises, purple lowers, white does neither. Below stands the
            scale.
        unit: of the weights, for the scale.
        most: the weight of the full colour, so that several drawings can share a scale; None: the largest there is.

    Raises: UserError for a molecule too large to be drawn; ValueError where weights do not fit its atoms."""
    mol = molecule(smiles)
    if mol.GetNumAtoms() > LARGEST:
        raise UserError("molecules.model.too-large-to-draw", count=mol.GetNumAtoms(), most=LARGEST)
    if weights is not None and weights.shape != (mol.GetNumAtoms(),):
        raise ValueError(f"{mol.GetNumAtoms()} atoms have weights of shape {weights.shape}")
    rdDepictor.Compute2DCoords(mol, useRingTemplates=True)
    width, height = size
    canvas = rdMolDraw2D.MolDraw2DSVG(width, height)
    options: Any = canvas.drawOptions()
    options.clearBackground = False
    # Letters of one colour: those of the elements would be read as weights.
    options.useBWAtomPalette()
    options.highlightBondWidthMultiplier = 12
    options.fillHighlights = True
    if weights is None:
        canvas.DrawMolecule(rdMolDraw2D.PrepareMolForDrawing(mol))
        canvas.FinishDrawing()
        return _plain(canvas.GetDrawingText(), size, "")
    span = most or float(np.abs(weights).max()) or 1.0
    tones = {atom: _tone(weight / span) for atom, weight in enumerate(weights.tolist())}
    ends = {bond.GetIdx(): (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()}
    between = {bond: _tone((weights[a] + weights[b]) / 2 / span) for bond, (a, b) in ends.items()}
    canvas.DrawMolecule(
        rdMolDraw2D.PrepareMolForDrawing(mol),
        highlightAtoms=list(tones),
        highlightAtomColors=tones,
        highlightBonds=list(between),
        highlightBondColors=between,
        highlightAtomRadii=dict.fromkeys(tones, 0.4),
    )
    canvas.FinishDrawing()
    return _plain(canvas.GetDrawingText(), (width, height + _LEGEND), _scale(width, height, span, unit))


def _tone(share: float) -> tuple[float, float, float]:
    """From white towards the colour of its sign."""
    end = RAISES if share > 0 else LOWERS
    strength = min(abs(share), 1.0)
    return tuple(1 - strength * (1 - channel) for channel in end)  # type: ignore[return-value]


def _scale(width: int, height: int, reach: float, unit: str) -> str:
    """A strip from the lowest to the highest weight, with its ends in numbers."""
    steps = 24
    left, across = width / 4, width / 2
    strip = "".join(
        f'<rect x="{left + across * step / steps:.1f}" y="{height + 2}" width="{across / steps + 0.5:.1f}" height="10" '
        f'fill="{_hex(_tone(2 * (step + 0.5) / steps - 1))}"/>'
        for step in range(steps)
    )
    marks = [(left, f"{-reach:.2g}"), (width / 2, f"0 {unit}".strip()), (left + across, f"{reach:+.2g}")]
    style = 'font-size="11" text-anchor="middle" fill="#444444"'
    letters = "".join(f'<text x="{x:.1f}" y="{height + 26}" {style}>{_escaped(text)}</text>' for x, text in marks)
    return strip + letters


def _hex(colour: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in colour)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(svg: str, size: tuple[int, int], more: str) -> str:
    """The drawing alone, in a frame of this size: no header, comments or namespaces of RDKit."""
    inside = re.sub(r"<!--.*?-->", "", svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")], flags=re.S)
    width, height = size
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f"{inside.strip()}{more}</svg>"
    )

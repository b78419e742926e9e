"""A drawing has every atom in the colour of its weight, and nothing that a report would refuse."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from medeor.contracts import UserError
from medeor.figures import Drawing
from medeor.molecules.draw import LARGEST, draw
from medeor.report.pictures import drawing


def fills(svg: str) -> list[str]:
    """Colours of the circles behind the atoms."""
    found = [one.get("style", "") for one in ET.fromstring(svg).iter() if one.tag.endswith("ellipse")]
    return [re.search(r"fill:(#\w{6})", style)[1].lower() for style in found]


@pytest.mark.parametrize(
    "smiles", ["CC(=O)Nc1ccc(O)cc1", "N[Pt](N)(Cl)Cl", "C[N+](C)(C)CC(=O)[O-]", "C/C=C\\[C@H](F)Cl", "C"]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_report_takes_it(smiles: str, weighted: bool) -> None:
    count = len(re.findall(r"Cl|Pt|[CNOFcno]", smiles))
    svg = draw(smiles, np.linspace(-1, 1, count) if weighted else None, unit="<mol/L>")
    assert "<svg" in drawing(Drawing("a molecule", svg))


def test_what_raises_is_orange_what_lowers_purple_and_nothing_is_white() -> None:
    found = fills(draw("CCO", np.array([1.0, 0.0, -1.0])))
    channels = [[int(one[place : place + 2], 16) for place in (1, 3, 5)] for one in found]
    assert channels[0] == pytest.approx([0xE6, 0x61, 0x01], abs=1)
    assert channels[1] == [255, 255, 255]
    assert channels[2] == pytest.approx([0x5E, 0x3C, 0x99], abs=1)


def test_drawings_of_one_scale_can_be_compared() -> None:
    half = fills(draw("CCO", np.array([0.5, 0, 0]), most=1.0))[0]
    channels = [int(half[place : place + 2], 16) for place in (1, 3, 5)]
    assert channels == pytest.approx([(255 + one) / 2 for one in (0xE6, 0x61, 0x01)], abs=1)
    assert "+1<" in draw("CCO", np.array([0.5, 0, 0]), most=1.0)


def test_weights_must_fit_and_a_polymer_is_refused() -> None:
    with pytest.raises(ValueError, match="3 atoms"):
        draw("CCO", np.zeros(2))
    with pytest.raises(UserError, match="too large"):
        draw("C" * (LARGEST + 1))

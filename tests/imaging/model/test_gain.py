"""What a step of preparation earns, measured beside the same study without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import tiny
from medeor.contracts import Run, Study
from medeor.files import read_json
from medeor.imaging.model.features import ImageFeatures
from medeor.imaging.model.gain import FILE, WithGain
from medeor.imaging.model.prepare import Preparation
from medeor.learning.folds import SingleFit
from medeor.learning.trees.method import TreeMethod
from medeor.statistics.split import split_cases


def test_the_gain_is_the_paired_difference_on_held_out_cases(tmp_path: Path) -> None:
    """Spots that a median wipes out are all that tells the classes apart: denoising must cost, and be said to."""
    draw = np.random.default_rng(0)
    truth = np.arange(200) % 2
    images = draw.integers(90, 110, (200, 16, 16), np.uint8)
    images[truth == 1, 3::5, 3::5] = 160
    cases = tiny.cases_of(images, truth)
    split = split_cases(cases, Study())
    plain = Preparation((16, 16), 1)
    clean = Preparation((16, 16), 1, denoise="median")
    methods = [SingleFit(TreeMethod(ImageFeatures(preparation))) for preparation in (clean, plain)]
    fitted = WithGain(*methods, "median").fit(cases, split, {}, Run(tmp_path))
    kept = read_json(tmp_path / FILE)
    (row,) = kept["rows"]
    held = [method.fit(cases, split, {}, Run(tmp_path / "again")).held_out for method in methods]
    assert fitted.held_out.table.equals(held[0].table)
    label = dict(zip(cases.ids, truth))
    areas = [roc_auc_score([label[case] for case in one.table["case_id"]], one.table["value"]) for one in held]
    assert (kept["step"], row["metric"]) == ("median", "auroc")
    assert row["difference"] == pytest.approx(areas[0] - areas[1])
    assert row["high"] < 0

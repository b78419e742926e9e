"""The table of results: what was measured on another day stays until it is measured again."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.__main__ import lines_of, results
from bench.workload import Bar, Workload

from bench import workload
from medeor.files import write_json


def known(*data: str) -> dict[str, Workload]:
    return {"speed": Workload("speed", "How fast", "rows:none", bars=(Bar("pace", at_least=2.0),), data=data)}


def measured(work: Workload, data: str, pace: float, day: str) -> None:
    (row,) = (row for row in work.rows if row.data == data)
    write_json(row.result, {"machine": {}, "date": day, "figures": {"pace": [pace, None, None, None]}})


def test_other_days_and_other_data_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "WORK", tmp_path / "first")
    works = known("a", "b")
    measured(works["speed"], "a", 3.0, "2026-01-01")
    measured(works["speed"], "b", 1.0, "2026-01-01")
    first = results(works, {})
    assert "| a | 1 | pace | 3.000 | ≥ 2 | met | 2026-01-01 |" in first
    assert "| b | 1 | pace | 1.000 | ≥ 2 | **not met** | 2026-01-01 |" in first
    monkeypatch.setattr(workload, "WORK", tmp_path / "second")
    measured(works["speed"], "b", 4.0, "2026-02-02")
    second = results(works, lines_of(first))
    assert "| a | 1 | pace | 3.000 | ≥ 2 | met | 2026-01-01 |" in second
    assert "| b | 1 | pace | 4.000 | ≥ 2 | met | 2026-02-02 |" in second
    assert second.count("| pace |") == 2
    assert "2026-01-01" not in results(known("b"), lines_of(first))


def test_rows_come_seed_by_seed() -> None:
    work = Workload("w", "", "rows:none", data=("a", "b"), seeds=(0, 1))
    assert [(row.seed, row.data) for row in work.rows] == [(0, "a"), (0, "b"), (1, "a"), (1, "b")]

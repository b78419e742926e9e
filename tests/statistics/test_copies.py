"""Equal rows: copies, or chance."""

import numpy as np
import polars as pl

from medeor.statistics.copies import equal_by_chance


def test_copies_are_told_from_rows_that_happen_to_be_equal() -> None:
    generator = np.random.default_rng(0)
    stage = generator.integers(0, 3, 300)
    rows = pl.DataFrame({"age": generator.integers(40, 80, 300), "stage": stage, "one": stage == 1, "two": stage == 2})
    assert rows.is_duplicated().any()
    assert equal_by_chance(rows)
    measured = rows.with_columns(lab=pl.Series(generator.normal(size=300)), bmi=pl.Series(generator.normal(size=300)))
    assert not equal_by_chance(pl.concat([measured, measured.head(100)]))

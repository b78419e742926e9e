"""What the files of a study say of how their images came about, channel by channel."""

from __future__ import annotations

import polars as pl


def modalities(named: pl.Series, channels: int) -> list[dict[str, int]]:
    """How many cases name which modality, channel by channel.

    Args:
        named: one text a case: one modality for all its channels, or one a channel, separated by commas.
    """
    counts: list[dict[str, int]] = [{} for _ in range(channels)]
    for text, count in named.drop_nulls().value_counts(sort=True).iter_rows():
        each = text.split(",")
        for channel, own in enumerate(each if len(each) == channels else each * channels if len(each) == 1 else []):
            if own:
                counts[channel][own] = counts[channel].get(own, 0) + count
    return counts

"""Headings of what is known only after the time of a prediction."""

import pytest

from medeor.formats.values.later import is_follow_up, speaks_of_later


@pytest.mark.parametrize(
    "heading",
    [
        "sick_2",
        "sick2",
        "was_sick",
        "days to death",
        "discharge_status",
        "LOS",
        "follow-up",
        "出院日期",
        "d.time",
        "Time",
    ],
)
def test_headings_that_speak_of_what_comes_later(heading: str) -> None:
    assert speaks_of_later(heading, ["sick"])


@pytest.mark.parametrize("heading", ["loss", "closed", "deadline", "sickle", "timed", "age", "oscillation", "losartan"])
def test_words_that_only_look_alike(heading: str) -> None:
    assert not speaks_of_later(heading, ["sick", "y"])


def test_headings_of_the_time_until_an_event() -> None:
    assert all(map(is_follow_up, ("d.time", "OS_months", "survival time", "time_days", "follow-up", "futime")))
    assert not any(map(is_follow_up, ("event", "time_in_bed", "os_status", "", "death")))

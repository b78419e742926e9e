"""Headings of what is known only after the time of a prediction."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LATER = re.compile(
    r"(?<![a-z])(?:outcome|follow[\s_.-]*up|fu[\s_.-]?time|surviv\w*|death|dead|died|deceased|mortality|expired|"
    r"discharge\w*|readmi\w*|relapsed?|recurrence|length[\s_.-]of[\s_.-]stay|los|d\.time|autopsy)(?![a-z])|"
    r"随访|死亡|结局|生存|出院|复发",
    re.IGNORECASE,
)
"""Headings of what is known only after the time of the prediction."""
_UNIT = r"(?:[\s_.-](?:days?|weeks?|months?|years?|d|m|y))?"
_FOLLOW_UP = re.compile(
    rf"(?:(?:d|fu|os|pfs|dfs|rfs|event|surviv\w*|follow[\s_.-]*up)[\s_.-]*)?time{_UNIT}|"
    rf"(?:fu|os|pfs|dfs|rfs|surviv\w*|follow[\s_.-]*up){_UNIT}|随访时间|生存时间",
    re.IGNORECASE,
)
"""Headings of the time until an event or the last visit."""


def speaks_of_later(heading: str, targets: Iterable[str]) -> bool:
    """Whether a heading speaks of an outcome or of follow-up, or is that of a target with a word or a number more."""
    words = re.split(r"[\W_]+", re.sub(r"\d+$", "", heading.lower()))
    same = any(len(one) > 2 and one.lower() in words for one in targets)
    return same or _LATER.search(heading) is not None or is_follow_up(heading)


def is_follow_up(heading: str) -> bool:
    """Whether a heading is that of the time until an event, or until a case was last seen (`d.time`, `os_months`)."""
    return _FOLLOW_UP.fullmatch(heading) is not None

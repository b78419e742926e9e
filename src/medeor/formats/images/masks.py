"""Which images of a folder are masks of others: by their names, as data sets for segmentation keep them."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

_WORDS = (
    r"masks?|segs?|segm|segmentations?|labels?|labelmaps?|gts?|ground[\s_-]?truths?|rois?|annotations?|annots?|contours?|"
    r"masque|maske|máscara|mascara|分割|标注|標註|掩码|掩膜"
)
_BEHIND = re.compile(
    rf"(.+?)[\s_.\-]+(?:(?:lesion|tumou?r|manual)[\s_\-]?)?(?:{_WORDS})(?:[\s_\-]?\d{{1,3}})?", re.IGNORECASE
)
"""`case3_seg`, `benign (7)_mask_1`: the name of an image with a word for a mask behind it."""
_FOLDER = re.compile(rf"(?:{_WORDS})(?:tr|ts|va|val|train|test)?", re.IGNORECASE)
"""A folder of masks next to one of images."""
_ENDING = re.compile(r"(\.nii\.gz|\.[^./]+)$", re.IGNORECASE)
_SIGNS = (" ", "_", "-", ".")


def masks_among(names: Sequence[str]) -> set[str]:
    """The paths that are masks: the name of another image of the folder with a word such as `_mask` behind it, or the
    name of an image in a folder such as `masks` next to the folder of that image."""
    found = {name for name, image in _marked(names).items() if image}
    rest = [name for name in names if name not in found]
    stems = defaultdict(set)
    for name in rest:
        stems[_above(name)].add(_stem(name))
    for place in [place for place in stems if any(map(_FOLDER.fullmatch, place))]:
        images = _neighbours(place, stems)
        masks = stems[place]
        if 2 * sum(_begins_one(mask, images) for mask in masks) > len(masks):
            found |= {name for name in rest if _above(name) == place}
    return found


def _marked(names: Sequence[str]) -> dict[str, bool]:
    """Names with a word for a mask behind them, and whether the image stands there that they belong to."""
    marked = {name: match for name in names if (match := _BEHIND.fullmatch(_stem(name)))}
    images = defaultdict(list)
    for name in names:
        if name not in marked:
            images[_above(name)].append(_stem(name).lower())
    ordered = {place: sorted(stems) for place, stems in images.items()}
    return {name: _begins_one(match.group(1).lower(), ordered.get(_above(name), ())) for name, match in marked.items()}


def _neighbours(place: tuple[str, ...], stems: dict[tuple[str, ...], set[str]]) -> list[str]:
    """Names of images in folders that differ from this one in the word for masks alone."""
    spots = [spot for spot, folder in enumerate(place) if _FOLDER.fullmatch(folder)]
    return sorted(
        stem
        for other, found in stems.items()
        if len(other) == len(place)
        and any(other[:spot] + other[spot + 1 :] == place[:spot] + place[spot + 1 :] for spot in spots)
        and not any(map(_FOLDER.fullmatch, other))
        for stem in found
    )


def _begins_one(stem: str, ordered: Sequence[str]) -> bool:
    """Whether one of these names, in order, is this one, or begins with it and a sign between words."""
    for start in (stem, *(stem + sign for sign in _SIGNS)):
        place = bisect_left(ordered, start)
        if place < len(ordered) and (ordered[place] == start if start == stem else ordered[place].startswith(start)):
            return True
    return False


def _above(name: str) -> tuple[str, ...]:
    return tuple(name.split("/")[:-1])


def _stem(name: str) -> str:
    return _ENDING.sub("", name.rsplit("/", 1)[-1])

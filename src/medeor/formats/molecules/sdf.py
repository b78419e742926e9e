"""SDF: blocks of atoms and bonds with data below them, as programs and hands write them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from medeor.contracts import Message, Text
from medeor.files import explained, replacing
from medeor.formats.molecules.tables import identifiers
from medeor.formats.tables.rows import unused

if TYPE_CHECKING:
    from rdkit import Chem

_END_OF_RECORD = re.compile(r"^[ \t]*\$\$\$\$.*\n?", re.MULTILINE)
_END_OF_BLOCK = re.compile(r"^M[ \t]+END[ \t]*$", re.MULTILINE)
_HEADER = re.compile(r"^>.*<(.*)>|^>[ \t]*(DT\d+)")
"""The heading of a data item: its name in angle brackets, else the number of its field."""
_HEADER_INSIDE = re.compile(r"^>(?:[ \t]+(?:\(.*\)|\d+|DT\d+))?[ \t]*<([^<>]+)>[ \t]*(?:\(.*\)|\d+)?[ \t]*$")
"""The same right below another item, where a value (`> 5 and < 10`) may look like one."""
_COUNTS = re.compile(r"V[23]000[ \t]*$")


class Record(NamedTuple):
    """One record of an SDF."""

    title: str | None
    smiles: str | None
    problem: Text | None
    """Why it holds no structure."""
    flat: bool
    """Whether its coordinates are those of a drawing."""
    data: dict[str, str]


def records(text: str) -> list[Record]:
    """The records of an SDF, one a line of `$$$$`, whatever blanks stand around it."""
    from rdkit import rdBase

    found = []
    with rdBase.BlockLogs():
        for record in _divided(text):
            block, data, blocks = _parts(record)
            mol, problem = _molecule(block)
            if blocks > 1:
                mol, problem = None, Message("molecules.structure.several-blocks", count=blocks)
            flat = mol is not None and mol.GetNumConformers() > 0 and not mol.GetConformer().Is3D()
            title = block.split("\n", 1)[0].strip() or None
            found.append(Record(title, None if mol is None else _smiles(mol), problem, flat, data))
    return found


def write_sdf(path: Path, smiles: Sequence[str | None], facts: pl.DataFrame) -> None:
    """Molecules with 2-D coordinates and one property for each column of `facts`, row by row; the title of a record is
    the first of its `identifiers`. A row without a structure stands as an empty record, so that nothing is lost."""
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDepictor

    named = identifiers(facts.columns)
    with (
        rdBase.BlockLogs(),
        replacing(path) as new,
        explained(path),
        new.open("w", encoding="utf-8") as file,
    ):
        writer = Chem.SDWriter(file)
        for text, row in zip(smiles, facts.iter_rows(named=True), strict=True):
            mol = Chem.MolFromSmiles(text) if text else None
            mol = Chem.Mol() if mol is None else mol
            if mol.GetNumAtoms():
                rdDepictor.Compute2DCoords(mol)
            title = next((row[name] for name in named if row[name] is not None), "")
            for name, value in row.items():
                if value is not None and not name.startswith("_"):  # to RDKit such a name means something else
                    mol.SetProp(_line(name).translate(_BRACKETS).strip(), _line(value))
            mol.SetProp("_Name", _line(title))
            writer.write(mol)
        writer.close()


def _line(value: object) -> str:
    """A value on one line, which no reader takes for the end of a record or the head of a property."""
    text = f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())
    return f" {text}" if re.match(r"\${4}|>.*<.*>|M  END", text) else text


_BRACKETS = str.maketrans("<>", "()")
"""A property's name stands between angle brackets."""


def _divided(text: str) -> Iterator[str]:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    *whole, last = _END_OF_RECORD.split(text)
    yield from whole
    if last.strip():
        yield last


def _parts(record: str) -> tuple[str, dict[str, str], int]:
    """The block of atoms and bonds, the data items below it (`> <name>`, value, empty line), and how many blocks there
    are."""
    ends = list(_END_OF_BLOCK.finditer(record))
    if ends:
        block, rest = record[: ends[0].start()] + "M  END", record[ends[0].end() :]
    else:
        start = re.search(r"^>", record, re.MULTILINE)
        place = start.start() if start else len(record)
        block, rest = record[:place].rstrip() + "\nM  END", record[place:]
    data: dict[str, str] = {}
    name = ""
    for line in rest.split("\n"):
        header = (_HEADER_INSIDE if name else _HEADER).match(line)
        if header:
            name = unused(next(part for part in header.groups() if part is not None).strip(), data)
            data[name] = ""
        elif name and line.strip():
            data[name] = f"{data[name]} {line.strip()}".strip()
        elif name:
            name = ""
    return _at_its_place(block), data, len(ends)


def _at_its_place(block: str) -> str:
    """A block whose line of counts is the fourth, without the empty lines that stand before it."""
    lines = block.split("\n")
    counts = next((place for place, line in enumerate(lines) if _COUNTS.search(line)), 3)
    while counts > 3 and not lines[0].strip():
        lines, counts = lines[1:], counts - 1
    return "\n".join(lines)


def _molecule(block: str) -> tuple[Chem.Mol | None, Text | None]:
    from rdkit import Chem

    mol = Chem.MolFromMolBlock(block, sanitize=False, removeHs=False)
    if mol is None:
        return None, Message("molecules.structure.damaged")
    try:
        problems = Chem.DetectChemistryProblems(mol)
    except RuntimeError:  # RDKit stumbles over a block that it read itself
        return None, Message("molecules.structure.damaged")
    if problems:
        return None, problems[0].Message()
    if not mol.GetNumAtoms():
        return None, Message("molecules.structure.no-atoms")
    return Chem.MolFromMolBlock(block), None


def _smiles(mol: Chem.Mol) -> str:
    """A molecule as SMILES; with its extension where the file says that it is a racemate or one of two forms."""
    from rdkit import Chem

    if mol.GetNumConformers() and mol.GetConformer().Is3D():
        Chem.AssignStereochemistryFrom3D(mol)
    groups = {group.GetGroupType() for group in mol.GetStereoGroups()}
    if groups - {Chem.StereoGroupType.STEREO_ABSOLUTE}:
        mol.RemoveAllConformers()
        return str(Chem.MolToCXSmiles(mol))
    return str(Chem.MolToSmiles(mol))

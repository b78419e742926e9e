"""Molecules as people keep them: a table with a column of SMILES, an SDF, a list of SMILES. Rows are read as they
stand; whether a structure is one, `medeor.molecules.standardise` says."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from medeor.contracts import UserError
from medeor.files import exists, explained, replacing
from medeor.formats.tables import TABLES, content_of, decoded, delimiter, read_table, typed

if TYPE_CHECKING:
    from rdkit import Chem

SDF = (".sdf", ".sd", ".mol")
LISTS = (".smi", ".smiles", ".ism", ".can")
NAMES = ("smiles", "canonical_smiles", "isomeric_smiles", "isosmiles", "smi", "structure", "molecule", "mol", "drug")
"""What a column of structures is usually called, the likeliest first."""
IDENTIFIERS = (
    "name", "id", "compoundid", "compoundname", "compound", "moleculeid", "moleculename", "chemblid",
    "moleculechemblid", "drugid",
)  # fmt: skip
"""What a column that names compounds is usually called, in lower case and without marks, the likeliest first."""
SAMPLE = 60
"""Values of a column that are parsed to find out whether it holds structures."""
_MOST = 0.8
"""Share of the sample that has to be structures: the rest may be broken."""


class MoleculeRows(NamedTuple):
    """The rows of one source, of which none has been checked."""

    structures: pl.Series
    """SMILES as text; null where there is none."""
    facts: pl.DataFrame
    """The other columns."""
    problems: pl.Series
    """Why a record holds no structure, where the file's own form tells; else null."""
    places: pl.Series
    """Where each row stands: `row 5 of x.csv`, `record 3 of x.sdf`."""
    name: str
    """The file's name."""
    notes: tuple[str, ...] = ()
    """What was found out rather than told: the column of structures, the separator."""


def read_molecules(source: str | Path | pl.DataFrame, column: str = "") -> MoleculeRows:
    """The rows of a table (CSV of any separator, TSV, Parquet, Excel), an SDF, or a list of SMILES, each also as .gz;
    a polars table; or one SMILES. `column` names the column of SMILES; without it, it is found by its name, else by
    parsing.

    Raises: UserError where nothing can be read, or no column holds structures."""
    if isinstance(source, pl.DataFrame):
        return _of_table(source, "the table", column)
    path = Path(source)
    if isinstance(source, str) and not exists(path) and not _kind(path) and _parses([source]) == 1:
        return _of_list([source], [None], "the command")
    kind = _kind(path)
    if kind and not path.is_file():
        raise UserError(f"{path} does not exist" if not path.exists() else f"{path} is a folder, not a file")
    if kind in SDF:
        return _of_sdf(path)
    if kind in LISTS or (kind == ".txt" and _headless(path)):
        lines = [line.split(None, 1) for line in _text(path).splitlines() if line.strip()]
        if lines and lines[0][0].lower() in NAMES:
            lines = lines[1:]
        if not lines:
            raise UserError(f"{path} holds no molecule")
        return _of_list([line[0] for line in lines], [line[1] if line[1:] else None for line in lines], path.name)
    if kind not in TABLES:
        raise UserError(f"{source} is neither a file of molecules (CSV, TSV, Parquet, Excel, SDF, SMI) nor a SMILES")
    rows = _of_table(read_table(path), path.name, column)
    if kind in (".csv", ".tsv", ".txt"):
        mark = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}[delimiter(_head(path))]
        rows = rows._replace(notes=(*rows.notes, f"values set apart by {mark}"))
    return rows


def structure_column(table: pl.DataFrame, name: str) -> str:
    """The column of structures: by its name, else the one whose values parse.

    Raises: UserError where none does, several do, or the header is itself a molecule."""
    called = {column.strip().lower().replace(" ", "_"): column for column in reversed(table.columns)}
    texts = [column for column in table.columns if table[column].dtype == pl.String]
    usual = [called[known] for known in NAMES if known in called and called[known] in texts]
    usual += [column for column in texts if "smiles" in column.lower() and column not in usual]
    for column in usual:
        if _share(table[column]) >= 0.5:
            return column
    found = [column for column in texts if _share(table[column]) >= _MOST and _heavy(table[column])]
    if len(found) == 1:
        return found[0]
    if any(_parses([column]) and len(column) >= 8 for column in table.columns):
        raise UserError(f"{name} has no header: its first row is a molecule; write the names of the columns above it")
    if found:
        raise UserError(
            f"{name} has several columns of structures ({', '.join(found)}); name one: --where smiles=COLUMN"
        )
    if usual:
        example = table[usual[0]].drop_nulls().head(1).to_list()
        said = f"hardly a text is one, such as {example[0]!r}" if example else "it is empty"
        raise UserError(f"column '{usual[0]}' of {name} should hold molecules as SMILES, and {said}")
    known = ", ".join(map(repr, table.columns[:12])) + (", …" if table.width > 12 else "")
    raise UserError(f"no column of {name} holds SMILES; it has {known}. Name it: --where smiles=COLUMN")


def identifiers(columns: Sequence[str]) -> list[str]:
    """The columns that name compounds (`name`, `Compound ID`, …), the likeliest first; none where no column is so
    called."""
    plain = {column: re.sub(r"[\W_]", "", column.lower()) for column in columns}
    return [column for known in IDENTIFIERS for column in columns if plain[column] == known]


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


def _kind(path: Path) -> str:
    """How a file's name ends, `.gz` aside, in lower case; empty where it is no ending that is known."""
    name = path.name.lower().removesuffix(".gz")
    ending = Path(name).suffix
    return ending if ending in (*SDF, *LISTS, *TABLES) else ""


def _text(path: Path) -> str:
    return decoded(content_of(path))


def _head(path: Path) -> str:
    """The first lines of a text file, which may be compressed."""
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
        return decoded(file.read(4096))


def _headless(path: Path) -> bool:
    """Whether a text file begins with a molecule: a list of SMILES, not a table."""
    first = next(iter(_head(path).split()), "")
    return bool(first) and first.lower() not in NAMES and _parses([first.split(",")[0]]) == 1 and len(first) > 3


def _of_table(table: pl.DataFrame, name: str, column: str) -> MoleculeRows:
    if column and column not in table.columns:
        raise UserError(f"{name} has no column '{column}'; it has {', '.join(table.columns[:12])}")
    chosen = column or structure_column(table, name)
    places = pl.Series([f"row {number} of {name}" for number in range(2, table.height + 2)], dtype=pl.String)
    problems = pl.Series([None] * table.height, dtype=pl.String)
    structures = table[chosen].cast(pl.String).str.strip_chars()
    notes = () if column else (f"SMILES in column '{chosen}'",)
    return MoleculeRows(structures, table.drop(chosen), problems, places, name, notes)


def _of_list(smiles: Sequence[str], names: Sequence[str | None], where: str) -> MoleculeRows:
    facts = pl.DataFrame({"name": pl.Series(names, dtype=pl.String)})
    facts = facts if any(names) else facts.drop("name")
    places = pl.Series([f"line {number} of {where}" for number in range(1, len(smiles) + 1)], dtype=pl.String)
    problems = pl.Series([None] * len(smiles), dtype=pl.String)
    return MoleculeRows(pl.Series(smiles, dtype=pl.String), facts, problems, places, where)


# SDF -----------------------------------------------------------------------------------------------------


def _of_sdf(path: Path) -> MoleculeRows:
    from rdkit import rdBase

    text = _text(path)
    structures: list[str | None] = []
    problems: list[str | None] = []
    titles: list[str | None] = []
    properties: list[dict[str, str]] = []
    flat = 0
    with rdBase.BlockLogs():
        for record in _records(text):
            block, facts = _parts(record)
            mol, problem = _from_block(block)
            flat += mol is not None and mol.GetNumConformers() > 0 and not mol.GetConformer().Is3D()
            structures.append(_smiles(mol) if mol is not None else None)
            problems.append(problem)
            titles.append(record.split("\n", 1)[0].strip() or None)
            properties.append(facts)
    if not structures:
        raise UserError(f"{path} holds no record of a molecule")
    names = list(dict.fromkeys(name for facts in properties for name in facts))
    columns = [pl.Series("name", titles, pl.String)] if any(titles) and "name" not in names else []
    for name in names:
        texts = pl.Series(name, [facts.get(name) for facts in properties], pl.String)
        columns.append(typed(texts.str.strip_chars().replace("", None)))
    places = pl.Series([f"record {number} of {path.name}" for number in range(1, len(structures) + 1)])
    note = f"{flat} records in 2-D, {len(structures) - flat - sum(p is not None for p in problems)} in 3-D"
    known = pl.DataFrame(columns) if columns else pl.DataFrame(height=len(structures))
    return MoleculeRows(
        pl.Series(structures, dtype=pl.String), known, pl.Series(problems, dtype=pl.String), places, path.name, (note,)
    )


def _records(text: str) -> Iterator[str]:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    *records, last = text.split("$$$$\n") if "$$$$\n" in text else [text.removesuffix("$$$$")]
    yield from records
    if last.removesuffix("$$$$").strip():
        yield last.removesuffix("$$$$")


def _parts(record: str) -> tuple[str, dict[str, str]]:
    """The block of atoms and bonds, and the properties below it (`> <name>`, value, empty line)."""
    block, end, rest = record.partition("M  END")
    facts: dict[str, str] = {}
    name = ""
    for line in rest.split("\n"):
        if line.startswith(">") and "<" in line:
            name = line[line.index("<") + 1 : line.rindex(">")].strip()
            facts[name] = ""
        elif name and line.strip():
            facts[name] = f"{facts[name]} {line.strip()}".strip()
        elif name:
            name = ""
    return block + end, facts


def _from_block(block: str) -> tuple[Chem.Mol | None, str | None]:
    from rdkit import Chem

    mol = Chem.MolFromMolBlock(block, sanitize=False, removeHs=False)
    if mol is None:
        return None, "its block of atoms and bonds is damaged"
    problems = Chem.DetectChemistryProblems(mol)
    if problems:
        return None, problems[0].Message()
    if not mol.GetNumAtoms():
        return None, "it has no atoms"
    return Chem.MolFromMolBlock(block), None


def _smiles(mol: Chem.Mol) -> str:
    from rdkit import Chem

    if mol.GetNumConformers() and mol.GetConformer().Is3D():
        Chem.AssignStereochemistryFrom3D(mol)
    return str(Chem.MolToSmiles(mol))


# Finding the column --------------------------------------------------------------------------------------


def _share(column: pl.Series) -> float:
    """The share of the first values that are SMILES."""
    values = column.drop_nulls().head(SAMPLE).str.strip_chars().to_list()
    return _parses(values) / len(values) if values else 0.0


def _heavy(column: pl.Series) -> bool:
    """Whether the texts are too long to be words that happen to be SMILES (`CON`, `NO`)."""
    lengths = column.drop_nulls().head(SAMPLE).str.len_chars()
    return float(lengths.mean() or 0) >= 6  # type: ignore[arg-type]


def _parses(values: Sequence[str]) -> int:
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        found = [Chem.MolFromSmiles(value.strip(), sanitize=False) for value in values if " " not in value.strip()]
    return sum(mol is not None and mol.GetNumAtoms() > 0 for mol in found)

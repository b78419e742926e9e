"""One way of writing each compound, by stated rules: which of several fragments counts, which charges and mesomeric
forms are rewritten, whether tautomers and stereochemistry are distinguished. Each change is named, so that it can be
counted; what is no small molecule is refused with its reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize

from medeor.contracts import Message
from medeor.learning.pool import in_chunks

LARGEST = 1000
"""Atoms other than hydrogen from which a molecule is refused: a protein, for which these methods are not made."""
LARGEST_TAUTOMER = 100
"""Atoms other than hydrogen beyond which tautomers are not enumerated: it would take minutes."""

SALT = "salt or solvent removed"
MIXTURE = "largest part of a mixture kept"
METAL = "metal left out"
FORM = "group rewritten"
CHARGE = "charge neutralised"
TAUTOMER = "tautomer made canonical"
STEREO = "stereochemistry dropped"
MAPS = "atom map numbers removed"
RACEMATE = "racemate or relative stereochemistry read as it is drawn"
ION = "counter-ion removed that may be the active part"
CHANGES = (MAPS, RACEMATE, SALT, ION, MIXTURE, METAL, FORM, CHARGE, TAUTOMER, STEREO)
"""Every change that the rules can make, in the order in which they are made (of metals first)."""
DOUBTFUL = {
    MIXTURE: Message("molecules.doubt.mixture"),
    METAL: Message("molecules.doubt.metal"),
    ION: Message("molecules.doubt.ion"),
    RACEMATE: Message("molecules.doubt.racemate"),
}
"""Changes after which a prediction answers another question, and why."""


@dataclass(frozen=True)
class Rules:
    """What is done to every molecule, in this order.

    1. Numbers of an atom map are left out. It is parsed, and checked for valence and aromaticity (RDKit's
       sanitisation); explicit hydrogens are folded in, those that only mark a side of a double bond (`[H]/N=C`) among
       them, and labelled ones (deuterium) not. A CXSMILES extension (` |&1:1|`) is left out: of a racemate the form
       that is drawn counts.
    2. Bonds of alkali and alkaline earth metals are cut (RDKit's MetalDisconnector): they are salts. A complex of
       another metal (cisplatin) stays whole, for the audit to name.
    3. Known counter-ions and solvents are removed (RDKit's FragmentRemover list), and inorganic parts beside organic
       ones; copies count once; of what remains the largest part is kept, organic before inorganic.
    4. Sulfoxides, sulfones, phosphine and amine oxides, nitro, azide and diazo groups are written in one form.
    5. Charges are neutralised by adding or removing protons where that is possible (RDKit's Uncharger): permanent ones
       (quaternary nitrogen) stay.
    6. Where asked, the canonical tautomer is taken; where asked, stereochemistry is dropped.
    7. It is written as canonical SMILES."""

    tautomer: bool = False
    """Take RDKit's canonical tautomer: some hundred times slower than all else."""
    stereo: bool = True
    """Keep stereochemistry."""


class Standard(NamedTuple):
    """A molecule as the rules write it."""

    smiles: str | None
    """Canonical SMILES; None where there is a problem."""
    flat: str | None
    """The same without stereochemistry and isotopes, labelled hydrogens folded in: the compound as a 2-D drawing shows
    it."""
    changes: tuple[str, ...]
    """Which of `CHANGES` were made."""
    problem: str | None
    """Why it cannot be used."""


def standardised(texts: Sequence[str | None], rules: Rules = Rules(), workers: int = 0) -> list[Standard]:
    """Each SMILES by the rules; on several processes where there are many."""
    return [one for chunk in in_chunks(_chunk, texts, rules, workers=workers) for one in chunk]


def _chunk(texts: Sequence[str | None], rules: Rules) -> list[Standard]:
    with rdBase.BlockLogs():
        return [standardise(text, rules) for text in texts]


def standardise(text: str | None, rules: Rules = Rules()) -> Standard:
    """One SMILES by the rules."""
    given = (text or "").strip()
    text, maps = _MAP.subn(r"\1]", _EXTENSION.sub("", given))
    if not text:
        return _refused(Message("molecules.structure.none"))
    mol = parsed(text)
    if mol is None:
        return _refused(_why(text))
    if "*" in text or "~" in text:
        return _refused(Message("molecules.structure.pattern"))
    if (size := mol.GetNumHeavyAtoms()) > LARGEST:
        return _refused(Message("molecules.structure.too-large", count=size, most=LARGEST))
    changes = [MAPS] if maps else []
    if "|" in given and _RELATIVE.search(given):
        changes.append(RACEMATE)
    # Most molecules are one neutral piece: for them the text alone says that rules 2 to 5 have nothing to do.
    salt, metal = _SALT_METALS.search(text) is not None, METALS.search(text) is not None
    if salt and not metal:
        mol = rdMolStandardize.MetalDisconnector().Disconnect(mol)
        Chem.SanitizeMol(mol)
    if "." in text or salt:
        mol = _main_part(mol, changes)
    if metal and not METALS.search(Chem.MolToSmiles(mol)):
        changes.append(METAL)
    if _CHARGED.search(text) or salt:
        mol = _changed(mol, _normaliser().normalize(mol), FORM, changes)
        mol = _changed(mol, rdMolStandardize.Uncharger(canonicalOrder=True).uncharge(mol), CHARGE, changes)
    if rules.tautomer and mol.GetNumHeavyAtoms() <= LARGEST_TAUTOMER:
        mol = _changed(mol, rdMolStandardize.TautomerEnumerator().Canonicalize(mol), TAUTOMER, changes)
    marked = _MARKED.search(text) is not None
    flat = _flat(mol) if marked or rules.tautomer else None
    if marked and not rules.stereo:
        bare = Chem.Mol(mol)
        Chem.RemoveStereochemistry(bare)
        mol = _changed(mol, bare, STEREO, changes)
    smiles = Chem.MolToSmiles(mol)
    return Standard(smiles, flat or smiles, tuple(changes), None)


def parsed(text: str) -> Chem.Mol | None:
    """A SMILES as RDKit reads it, without hydrogens of its own that have no label. Most have none, and reading those
    without looking for it is a third faster."""
    if "[H" not in text:
        return Chem.MolFromSmiles(text, _AS_IT_STANDS)
    mol = Chem.MolFromSmiles(text, _AS_USUAL)
    return mol and Chem.RemoveHs(mol, _folding(labelled=False))


def molecule(smiles: str) -> Chem.Mol:
    """A standardised SMILES as RDKit reads it. Raises: ValueError for a text that is no molecule."""
    mol = parsed(smiles)
    if mol is None:
        raise ValueError(f"{smiles!r} is no molecule; standardise it first")
    return mol


def reread(smiles: str) -> Chem.Mol:
    """As `molecule`, of a SMILES that this module has written: aromaticity is taken from it and not found again, and
    stereochemistry is looked for where there are marks of it, which saves more than a quarter of the time. It has no
    Kekulé form.

    Raises: ValueError for a text that is no molecule."""
    if "[H" in smiles:
        return molecule(smiles)
    mol = Chem.MolFromSmiles(smiles, _UNSETTLED)
    if mol is None:
        raise ValueError(f"{smiles!r} is no molecule; standardise it first")
    Chem.SanitizeMol(mol, _TO_SETTLE)
    if any(mark in smiles for mark in "@/\\"):
        Chem.SanitizeMol(mol, Chem.SanitizeFlags.SANITIZE_CLEANUPCHIRALITY)
        Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
    return mol


def _reading(remove_hydrogens: bool, sanitize: bool = True) -> Chem.SmilesParserParams:
    reading = Chem.SmilesParserParams()
    settings = {"removeHs": remove_hydrogens, "sanitize": sanitize, "allowCXSMILES": False, "parseName": False}
    for name, value in settings.items():
        setattr(reading, name, value)
    return reading


def _folding(labelled: bool) -> Chem.RemoveHsParameters:
    """RDKit's rules of which hydrogens are folded in, and also those that mark a side of a double bond and, where
    asked, those with the label of an isotope."""
    folding = Chem.RemoveHsParameters()
    settings = {"removeDefiningBondStereo": True, "removeIsotopes": labelled, "showWarnings": False}
    for name, value in settings.items():
        setattr(folding, name, value)
    return folding


_AS_USUAL, _AS_IT_STANDS, _UNSETTLED = _reading(True), _reading(False), _reading(False, sanitize=False)
_TO_SETTLE = (
    Chem.SanitizeFlags.SANITIZE_PROPERTIES
    | Chem.SanitizeFlags.SANITIZE_SYMMRINGS
    | Chem.SanitizeFlags.SANITIZE_FINDRADICALS
    | Chem.SanitizeFlags.SANITIZE_SETCONJUGATION
    | Chem.SanitizeFlags.SANITIZE_SETHYBRIDIZATION
    | Chem.SanitizeFlags.SANITIZE_ADJUSTHS
)
"""What follows from atoms, bonds and aromaticity."""
_HYDROGEN = Chem.MolFromSmarts("[#1]")
_EXTENSION = re.compile(r"\s+\|.*\|$")
_RELATIVE = re.compile(r"\|[^|]*(?:&|o)\d+:[^|]*\|$")
"""An extension that makes of a drawn form a racemate (`&1:3`), or one of two (`o1:3`)."""
_MAP = re.compile(r"(\[[^\]:]+):\d+\]")
_CHARGED = re.compile(r"\[[^\]]*[+-]")
_MARKED = re.compile(r"[@/\\]|\[\d")
_SALT_METALS = re.compile(r"\[\d*(?:Li|Na|K|Rb|Cs|Be|Mg|Ca|Sr|Ba)(?![a-z])")
METALS = re.compile(
    r"\[\d*(?:Sc|Ti|V|Cr|Mn|Fe|Co|Ni|Cu|Zn|Al|Y|Zr|Nb|Mo|Tc|Ru|Rh|Pd|Ag|Cd|Ga|In|Sn|La|Ce|Pr|Nd|Sm|Eu|Gd|Tb|Dy|Ho|Er|"
    r"Tm|Yb|Lu|Hf|Ta|W|Re|Os|Ir|Pt|Au|Hg|Tl|Pb|Bi|Po|Ra|Th|U)(?![a-z])"
)
"""A metal in a SMILES that makes complexes rather than salts."""
_USUAL = {1, 5, 6, 7, 8, 9, 11, 12, 15, 16, 17, 19, 20, 35, 53} | {
    number for number in range(1, 119) if METALS.search(f"[{Chem.GetPeriodicTable().GetElementSymbol(number)}]")
}
"""Elements of usual counter-ions and solvents, and metals, which have a change of their own."""
_HARDLY_MORE = 4
"""Atoms other than hydrogen of a carbonate or nitrate."""
_GROUPS = """\
sulfone\t[S+2:1]([O-:2])[O-:3]>>[S+0:1](=[O+0:2])=[O+0:3]
sulfoxide\t[S+;D3:1][O-:2]>>[S+0:1]=[O+0:2]
phosphine oxide\t[P+;D4:1][O-:2]>>[P+0:1]=[O+0:2]
azide\t[N;D2:1]=[N;D2:2]#[N;D1:3]>>[N:1]=[N+:2]=[N-:3]
diazo\t[C:1]=[N;D2;+0:2]#[N;D1;+0:3]>>[C:1]=[N+:2]=[N-:3]
separated ions\t[N,O,S;-1:1]-[A+0:2]=[N,O,S;+1:3]>>[*+0:1]=[*:2]-[*+0:3]
"""


@lru_cache(maxsize=1)
def _normaliser() -> rdMolStandardize.Normalizer:
    return rdMolStandardize.NormalizerFromData(_GROUPS, rdMolStandardize.CleanupParameters())


@lru_cache(maxsize=1)
def _remover() -> rdMolStandardize.FragmentRemover:
    return rdMolStandardize.FragmentRemover()


def _changed(before: Chem.Mol, after: Chem.Mol, change: str, changes: list[str]) -> Chem.Mol:
    """`after`, where it differs and is a molecule still: of hypervalent elements some rules make what cannot be."""
    if Chem.MolToSmiles(before) == Chem.MolToSmiles(after) or Chem.SanitizeMol(after, catchErrors=True):
        return before
    changes.append(change)
    return after


def _main_part(mol: Chem.Mol, changes: list[str]) -> Chem.Mol:
    """The part that counts: without what is known as a salt or solvent, the largest."""
    left = Chem.GetMolFrags(_remover().remove(mol), asMols=True) or Chem.GetMolFrags(mol, asMols=True)
    distinct = {Chem.MolToSmiles(part): part for part in left}
    organic = {smiles: part for smiles, part in distinct.items() if any(a.GetAtomicNum() == 6 for a in part.GetAtoms())}
    distinct = organic or distinct
    kept: Chem.Mol = max(distinct.items(), key=lambda both: (both[1].GetNumHeavyAtoms(), both[0]))[1]
    if len(Chem.GetMolFrags(mol)) > 1:
        changes.append(SALT if len(distinct) == 1 else MIXTURE)
        if len(distinct) == 1 and _may_act(mol, kept):
            changes.append(ION)
    return kept


def _may_act(whole: Chem.Mol, kept: Chem.Mol) -> bool:
    """Whether what is left out may be what acts: an ion of an element that is no usual counter-ion (lithium), or any,
    where what is kept is hardly more than one itself (potassium carbonate)."""
    lost = {atom.GetAtomicNum() for atom in whole.GetAtoms()} - {atom.GetAtomicNum() for atom in kept.GetAtoms()}
    organic = any(atom.GetAtomicNum() == 6 and atom.GetTotalNumHs() for atom in kept.GetAtoms())
    return bool(lost - _USUAL) or (bool(lost) and not organic and kept.GetNumHeavyAtoms() <= _HARDLY_MORE)


def _flat(mol: Chem.Mol) -> str:
    """The SMILES of `Standard.flat`."""
    if mol.HasSubstructMatch(_HYDROGEN):
        mol = Chem.RemoveHs(mol, _folding(labelled=True))
    return Chem.MolToSmiles(mol, isomericSmiles=False)


def _refused(problem: Message) -> Standard:
    return Standard(None, None, (), str(problem))


def _why(text: str) -> Message:
    """Why a text is no molecule, in RDKit's words where it knows."""
    mol = Chem.MolFromSmiles(text, sanitize=False)
    if mol is None:
        return Message("molecules.structure.not-smiles")
    try:
        found = Chem.DetectChemistryProblems(mol)
    except RuntimeError:  # RDKit stumbles over a text that it read itself
        found = ()
    if not found:
        return Message("molecules.structure.unreadable")
    return Message("molecules.structure.impossible", problem=" ".join(found[0].Message().split()))

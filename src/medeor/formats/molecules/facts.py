"""How molecules are known by the names of files and columns."""

from medeor.contracts import FileFacts

SDF = (".sdf", ".sd", ".mol")
LISTS = (".smi", ".smiles", ".ism", ".can")
NAMES = (
    "smiles", "canonical_smiles", "isomeric_smiles", "isosmiles", "smi", "structure", "molecule", "mol", "drug",
    "inchi", "standard_inchi", "standardinchi", "inchi_string", "结构", "结构式", "分子",
)  # fmt: skip
"""What a column of structures is usually called, the likeliest first."""

MOLECULES = FileFacts(
    endings=(*SDF, *LISTS),
    # A column `drug` holds names as often as structures.
    columns=tuple(name for name in NAMES if name != "drug"),
)

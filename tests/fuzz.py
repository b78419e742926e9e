"""Small valid files of every format that medeor reads, what damage and malice make of them, and a program that reads
them one after another within bounds of time and memory: `python fuzz.py`, with a line of JSON for each on its input."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

SECONDS = 20
"""Processor time within which an input is read or refused."""
MEMORY = 6 << 30
"""Bytes of addresses that the reading process may take."""
SIZE = 1 << 20
"""No input is larger."""

IMAGES, MOLECULES, GRAPHS = "image-classification", "molecule-property", "graph-completion"
SPREAD = ("xlsx", "npz", "medeor")
"""Archives of which an entry is changed, its checksums made anew."""


class Seed(NamedTuple):
    """A valid file: under which name it is read, as which task, and what it holds."""

    name: str
    task: str
    content: bytes


def mutated(seeds: tuple[Seed, ...], number: int) -> Seed:
    """Input `number`: always the same for the same seeds. About half are changed once, the others more often."""
    draw = np.random.default_rng(number)
    one = seeds[number % len(seeds)]
    other = seeds[int(draw.integers(len(seeds)))]
    change = _CHANGES.get(one.name.rpartition(".")[2], _plain)
    return one._replace(content=change(one.content, other.content, draw)[:SIZE])


# --- changes ------------------------------------------------------------------------------------------------


def _plain(content: bytes, other: bytes, draw: np.random.Generator) -> bytes:
    kinds = [_flip, _extreme, _cut, _without, _insert, _splice, _repeat, _numbers]
    for _ in range(1 if draw.random() < 0.5 else int(draw.integers(2, 6))):
        content = kinds[int(draw.integers(len(kinds)))](content, other, draw)
    return content


def _place(content: bytes, draw: np.random.Generator) -> int:
    """Somewhere; as often as not among the first bytes, where headers are."""
    most = len(content) if draw.random() < 0.5 else min(len(content), 400)
    return int(draw.integers(most)) if most else 0


def _flip(content: bytes, other: bytes, draw: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(int(draw.integers(1, 4)) if changed else 0):
        changed[_place(content, draw)] ^= 1 << int(draw.integers(8))
    return bytes(changed)


def _extreme(content: bytes, other: bytes, draw: np.random.Generator) -> bytes:
    """A number of 1, 2, 4 or 8 bytes becomes one at a bound."""
    width = int(draw.choice([1, 2, 4, 8]))
    top = 1 << 8 * width
    value = [0, 1, top // 2 - 1, top // 2, top - 1, 65535 % top, 1 << 4 * width][int(draw.integers(7))]
    at = _place(content, draw)
    return content[:at] + value.to_bytes(width, ["little", "big"][int(draw.integers(2))]) + content[at + width :]


def _cut(content: bytes, other: bytes, draw: np.random.Generator) -> bytes:
    return content[: _place(content, draw)]


def _without(content: bytes, other: bytes, draw: np.random.Generator) -> bytes:
    at = _place(content, draw)
    return content[:at] + content[at + int(draw.integers(1, 64)) :]


def _insert(content: bytes, other: bytes, draw: np.random.Generator) -> bytes:
    at = _place(content, draw)
    words = [draw.bytes(int(draw.integers(1, 32))), *_WORDS]
    return content[:at] + words[int(draw.integers(len(words)))] + content[at:]


_WORDS = (
    b"\0", b"\n", b"\r\n", b'"', b"'", b"\t", b",", b";", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3\x28", b"\x1a", b"\xa0",
    "\u2028\x85".encode(), b"=1+1", b"nan", b"-inf", b"1e400", b"None", b"true", b"[", b"]]]]", b"{", b"<a>", b"\\",
    b"(" * 300, b"C1" * 200, b"9" * 400, b"[" * 5000,
)  # fmt: skip


def _splice(content: bytes, other: bytes, draw: np.random.Generator) -> bytes:
    at, start = _place(content, draw), _place(other, draw)
    return content[:at] + other[start : start + int(draw.integers(1, 2000))] + content[at:] * int(draw.integers(2))


def _repeat(content: bytes, other: bytes, draw: np.random.Generator) -> bytes:
    at, length, times = _place(content, draw), int(draw.choice([1, 16, 300])), int(draw.choice([1, 2, 50, 1000]))
    return content[:at] + content[at : at + length] * times + content[at:]


def _numbers(content: bytes, other: bytes, draw: np.random.Generator) -> bytes:
    """A number that is written as text becomes another one."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?", content))
    if not found:
        return _extreme(content, other, draw)
    one = found[int(draw.integers(len(found)))]
    values = (b"0", b"-1", b"1", b"255", b"65536", b"2147483648", b"99999999999", b"9223372036854775808", b"1e400",
              b"-1e-400", b"nan", b"1.5", b"00", b"1" * 50, b"", b"0x10", b"1_000", "٣".encode())  # fmt: skip
    return content[: one.start()] + values[int(draw.integers(len(values)))] + content[one.end() :]


def _inside_gz(content: bytes, other: bytes, draw: np.random.Generator) -> bytes:
    if draw.random() < 0.2:
        return _plain(content, other, draw)
    return gzip.compress(_plain(gzip.decompress(content), other, draw), 1)


def _inside_zip(content: bytes, other: bytes, draw: np.random.Generator) -> bytes:
    """An entry is changed, with its checksums: the zip's own, and that of a bundle's manifest."""
    if draw.random() < 0.2:
        return _plain(content, other, draw)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
        how = archive.infolist()[0].compress_type
    names = sorted(entries)
    name = names[int(draw.integers(len(names)))]
    entries[name] = _plain(entries[name], other, draw)
    if "manifest.json" in entries and name != "manifest.json":
        manifest = json.loads(entries["manifest.json"])
        manifest["sha256"][name] = hashlib.sha256(entries[name]).hexdigest()
        entries["manifest.json"] = json.dumps(manifest).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, one in entries.items():
            archive.writestr(zipfile.ZipInfo(name), one, how)
    return out.getvalue()


def _inside_png(content: bytes, other: bytes, draw: np.random.Generator) -> bytes:
    """A chunk is changed, with its checksum; the pixels before they are compressed."""
    if draw.random() < 0.4:
        return _plain(content, other, draw)
    chunks, at = [], 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    place = int(draw.integers(len(chunks)))
    kind, held = chunks[place]
    changed = (
        zlib.compress(_plain(zlib.decompress(held), other, draw)) if kind == b"IDAT" else _plain(held, other, draw)
    )
    chunks[place] = kind, changed
    packed = (struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks)
    return content[:8] + b"".join(packed)


Change = Callable[[bytes, bytes, np.random.Generator], bytes]
_CHANGES: Mapping[str, Change] = {
    **dict.fromkeys(SPREAD, _inside_zip), "gz": _inside_gz, "png": _inside_png
}  # fmt: skip


# --- valid files --------------------------------------------------------------------------------------------


def seeds(folder: Path, bundle: Path) -> tuple[Seed, ...]:
    """The files, made below an empty folder; `bundle` is one that medeor wrote."""
    made = [
        *(Seed(path.name, IMAGES, path.read_bytes()) for path in _image_files(folder / "images")),
        *(Seed(path.name, MOLECULES, path.read_bytes()) for path in _molecule_files(folder / "molecules")),
        *(Seed(path.name, GRAPHS, path.read_bytes()) for path in _graph_files(folder / "graphs")),
        Seed("received.medeor", "", bundle.read_bytes()),
    ]
    return tuple(made)


def _image_files(folder: Path) -> list[Path]:
    import nibabel
    import tifffile
    from PIL import Image as Pillow
    from pydicom.uid import RLELossless

    from formats.images.dicom_files import data_set

    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    grey, colour = draw.integers(0, 255, (12, 10), np.uint8), draw.integers(0, 255, (12, 10, 3), np.uint8)
    deep = draw.integers(0, 60000, (12, 10), np.uint16)
    for name, pixels in (("g.png", grey), ("c.png", colour), ("d.png", deep), ("g.jpg", grey), ("c.jpg", colour)):
        Pillow.fromarray(pixels).save(folder / name)
    Pillow.fromarray(grey).save(folder / "g.bmp")
    Pillow.fromarray(colour).save(folder / "c.webp")
    Pillow.fromarray(colour).convert("P").save(folder / "p.png")
    tifffile.imwrite(folder / "g.tif", grey)
    tifffile.imwrite(folder / "d.tif", deep, compression="zlib", metadata={"spacing": 2.5})
    tifffile.imwrite(folder / "v.tif", draw.random((3, 12, 10)).astype(np.float32), imagej=True)
    Pillow.fromarray(colour).convert("P").save(folder / "p.tif", compression="tiff_lzw")

    def write(path: Path, pixels: np.ndarray, **attributes: object) -> None:
        data = data_set(pixels, **attributes)
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
        data.save_as(path, enforce_file_format=True)

    volume = draw.integers(-1000, 1000, (3, 12, 10)).astype(np.int16)
    ct = {"Modality": "CT", "PixelSpacing": [0.5, 0.8], "RescaleSlope": 1, "RescaleIntercept": -1024}
    write(folder / "flat.dcm", volume[0], **ct, PatientID="7", WindowCenter=40, WindowWidth=400)
    write(folder / "frames.dcm", volume, **ct)
    write(folder / "colour.dcm", colour, Modality="US")
    packed = data_set(grey, Modality="DX", PhotometricInterpretation="MONOCHROME1")
    packed.compress(RLELossless)
    packed.save_as(folder / "rle.dcm", enforce_file_format=True)
    image = nibabel.Nifti1Image(volume, np.diag([2.0, 2.0, 3.0, 1.0]))
    nibabel.save(image, folder / "v.nii")
    nibabel.save(image, folder / "v.nii.gz")
    np.save(folder / "v.npy", volume)
    np.savez(folder / "set.npz", **{f"{part}_images": draw.integers(0, 255, (6, 8, 8), np.uint8) for part in _PARTS},
             **{f"{part}_labels": np.arange(6)[:, None] % 2 for part in _PARTS})  # fmt: skip
    return sorted(folder.iterdir())


_PARTS = ("train", "val", "test")
_SMILES = (
    "CCO",
    "c1ccccc1O",
    "CC(=O)Oc1ccccc1C(=O)O",
    "C[C@H](N)C(=O)O",
    "[Na+].[Cl-]",
    "CN1C=NC2=C1C(=O)N(C)C(=O)N2C",
)


def _molecule_files(folder: Path) -> list[Path]:
    import polars as pl
    from rdkit import Chem

    folder.mkdir(parents=True)
    table = pl.DataFrame({
        "id": [f"m{n}" for n in range(6)], "SMILES": _SMILES, "IC50 (nM)": ["12", ">1000", "3.5", "n/a", "40", "1e3"],
        "date": [f"2020-01-0{n}" for n in range(1, 7)],
    })  # fmt: skip
    table.write_csv(folder / "a.csv")
    table.write_csv(folder / "a.tsv", separator="\t")
    table.write_csv(folder / "semicolon.csv", separator=";")
    table.write_parquet(folder / "a.parquet")
    table.write_excel(folder / "a.xlsx")
    (folder / "a.csv.gz").write_bytes(gzip.compress((folder / "a.csv").read_bytes()))
    (folder / "latin.csv").write_bytes("smiles;name;IC50 (µM)\nCCO;éthanol;1,5\nCCC;propane;2,5\n".encode("cp1252"))
    (folder / "a.smi").write_text("".join(f"{smiles} m{n}\n" for n, smiles in enumerate(_SMILES)))
    with Chem.SDWriter(str(folder / "a.sdf")) as writer:
        for n, smiles in enumerate(_SMILES):
            molecule = Chem.MolFromSmiles(smiles)
            molecule.SetProp("_Name", f"m{n}")
            molecule.SetProp("pIC50", str(n + 0.5))
            writer.write(molecule)
    molecule = Chem.MolFromSmiles(_SMILES[2])
    (folder / "a.mol").write_text(Chem.MolToMolBlock(molecule))
    (folder / "v3000.mol").write_text(Chem.MolToV3KMolBlock(molecule))
    return sorted(folder.iterdir())


def _graph_files(folder: Path) -> list[Path]:
    folder.mkdir(parents=True)
    edges = [(f"D{n}", ("treats", "causes")[n % 2], f"E{(3 * n) % 5}") for n in range(12)]
    (folder / "a.tsv").write_text("".join("\t".join(edge) + "\n" for edge in edges))
    (folder / "a.csv").write_text("head,relation,tail\n" + "".join(",".join(edge) + "\n" for edge in edges))
    (folder / "kgx.tsv").write_text(
        "subject\tpredicate\tobject\tnegated\n" + "".join("\t".join(edge) + "\tFalse\n" for edge in edges)
    )
    (folder / "neo4j.csv").write_text(
        ":START_ID(Drug),:TYPE,:END_ID(Disease),weight:float\n" + "".join(",".join(edge) + ",0.5\n" for edge in edges)
    )
    (folder / "a.sif").write_text("".join("\t".join(edge) + "\n" for edge in edges))
    (folder / "a.nt").write_text(
        "".join(f"<http://x.org/{h}> <http://x.org/{r}> <http://x.org/{t}> .\n" for h, r, t in edges)
        + '<http://x.org/D1> <http://www.w3.org/2000/01/rdf-schema#label> "one \\u00e9"@en .\n'
    )
    (folder / "a.obo").write_text("format-version: 1.2\nontology: x\n\n" + "".join(
        f'[Term]\nid: X:{n}\nname: n{n}\nsynonym: "s{n}" EXACT []\nalt_id: X:9{n}\n'
        + (f"is_a: X:{n // 2} ! up\nrelationship: part_of X:0\n" if n else "") + "\n" for n in range(8)
    ))  # fmt: skip
    (folder / "MRREL.RRF").write_text(
        "".join(f"C000000{n}|A|AUI|RO|C000000{n + 1}|A|AUI|may_treat|R||MSH|MSH|||N||\n" for n in range(8))
    )
    return sorted(folder.iterdir())


# --- the reader ---------------------------------------------------------------------------------------------


def look(path: Path, task: str) -> str:
    """What became of one input: "read", "refused", or the words of what should not happen."""
    import medeor
    from medeor.console import Console
    from medeor.contracts import UserError

    try:
        if task:
            medeor.read(path, task=task, labelled=False, console=Console(quiet=True))
        else:
            pixels = np.zeros((2, 12, 12), np.uint8)
            medeor.load(path).predict(pixels)
    except UserError as error:
        text = str(error)
        if "not enough memory" in text:
            return f"memory: {text}"
        return "refused" if text.count("\n") < 2 and len(text) < 2000 else f"a refusal of {len(text)} characters"
    return "read"


def main() -> None:
    import os
    import resource
    import tempfile
    import traceback

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what decoders print is no answer
    for line in sys.stdin:
        path, task = json.loads(line)
        used = resource.getrusage(resource.RUSAGE_SELF)
        spent = int(used.ru_utime + used.ru_stime)
        # The signal ends the process, also within a decoder.
        resource.setrlimit(resource.RLIMIT_CPU, (spent + SECONDS + 1, resource.RLIM_INFINITY))
        with tempfile.TemporaryDirectory() as room:
            tempfile.tempdir = room
            try:
                said = look(Path(path), task)
            except BaseException:  # noqa: BLE001
                said = traceback.format_exc()
            tempfile.tempdir = None
        answers.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()

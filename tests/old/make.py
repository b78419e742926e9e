"""Makes the fixtures of this folder: finished runs, their bundles, interrupted runs, and what medeor answers. It was
run with medeor 0.1.0 and must not be run again: newer code would record its own answers as the old ones. It is kept to
show how the fixtures came about.

Each `NAME.tar.xz` is a room of one kind of data, all of it simulated: `data/` taught the models of `runs/`, whose
bundles lie inside them, and of `stopped/`, which were interrupted; `new/` is what was asked. Paths are as from the
room. `NAME.json` holds the answers.

    cd tests/old && OMP_NUM_THREADS=1 MEDEOR_CACHE=/tmp/cache python make.py
"""

from __future__ import annotations

import contextlib
import json
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import polars as pl
from PIL import Image

import medeor
from medeor import study, tasks, verbs
from medeor.console import Console
from medeor.contracts import Explanation, Run, Stopped

HERE = Path(__file__).parent
QUICK = {"schedule.precision": "f32", "schedule.warmup": "0.1", "schedule.averaging": "0.5"}
TREES = {"trees.rounds": "12", "trees.learning_rate": "0.2", "trees.leaves": "4", "trees.smallest_leaf": "3"}
NOTICE = "All of this is simulated: no patient, no compound that was measured, no fact.\n"


# --- images ----------------------------------------------------------------------------------------------

PICTURES = {**QUICK, "preparation.size": "[12,12]", "training.batch": "16", "schedule.learning_rate": "0.01"}
DEFAULT = {"network.name": "resnet", "network.widths": "[4,8]", "network.blocks": "[1,1]", "network.norm": "group"}


def images() -> dict[str, Any]:
    """Grey squares: the larger the square, the worse the grade."""
    draw = np.random.default_rng(1)
    facts = squares(60, draw, 12)
    Path("data/images").mkdir(parents=True)
    Path("new/images").mkdir(parents=True)
    for name, picture in zip(facts["image"], pictures(facts, draw, 12)):
        Image.fromarray(picture).save(f"data/images/{name}")
    facts.write_csv("data/labels.csv")
    new = pictures(squares(6, draw, 12), draw, 12)
    new[5] = 255 - new[5]
    for number, picture in enumerate(new):
        Image.fromarray(picture).save(f"new/images/n{number}.png")
    Path("new/images/cut.png").write_bytes(Path("new/images/n0.png").read_bytes()[:60])

    def train(name: str, target: Sequence[str], settings: dict[str, str], stopping: Any = never, **more: Any) -> None:
        fields = {"labels": "data/labels.csv", "group": "patient", "split": "part", "task": "image-classification"}
        fit(name, "data/images", stopping, target=tuple(target), settings=PICTURES | TREES | settings, **fields, **more)

    whole = DEFAULT | {"schedule.epochs": "6"}
    single = {"members": "single", "schedule.epochs": "8"}
    train("runs/default", ["lesion"], whole)
    alone = {"parts": '["network"]', "domain": "false", "network.name": "convnet", "network.widths": "[4,8]"}
    train("runs/network", ["lesion"], single | alone | {"network.blocks": "[1,1]", "schedule.learning_rate": "0.02"})
    labels = {"parts": '["network"]', "domain": "false", "network.name": "small-cnn", "network.widths": "[4,4]"}
    labels |= {"schedule.epochs": "20", "schedule.learning_rate": "0.03", "preparation.enhance": "clahe"}
    train("runs/labels", ["lesion", "left"], labels)
    train("runs/number", ["size"], {"members": "single", "parts": '["trees"]'})
    deep = {"network.name": "resnet50", "network.widths": "[2,2,2,4]"}
    train("runs/classes", ["grade"], single | deep, where={"kind": "classes"})
    train("stopped/default", ["lesion"], whole, when_logged("stopped/default/model/model/network/fold-1"))
    asked = sorted(str(path) for path in Path("new/images").glob("*.png"))
    runs = {
        name: answers(f"runs/{name}", asked, asked[1:3])
        for name in ("default", "network", "labels", "number", "classes")
    }
    return {"runs": runs, "compare": compared("runs/default", "runs/network")}


def squares(count: int, draw: np.random.Generator, side: int) -> pl.DataFrame:
    """What is true of pictures of squares: one a patient, in three parts."""
    size = draw.integers(0, side // 2 + 1, count)
    return pl.DataFrame(
        {
            "image": [f"p{number:02}.png" for number in range(count)],
            "patient": [f"P{number:02}" for number in range(count)],
            "part": [("train", "train", "test", "train", "train", "validation")[number % 6] for number in range(count)],
            "lesion": (size > side // 4).astype(int),
            "left": draw.integers(0, 2, count),
            "grade": [("none", "small", "large")[int(np.digitize(one, (2, side // 4 + 1)))] for one in size],
            "size": np.round(size + draw.normal(0, 0.3, count), 2),
            "side": size,
        }
    )


def pictures(facts: pl.DataFrame, draw: np.random.Generator, side: int) -> np.ndarray:
    """Shape (n, side, side), uint8."""
    drawn = draw.normal(60, 12, (len(facts), side, side))
    for picture, size, left in zip(drawn, facts["side"], facts["left"]):
        row, column = 2 + int(draw.integers(0, 3)), 0 if left else side - size
        picture[row : row + size, column : column + size] += 110
    return drawn.clip(0, 255).astype(np.uint8)


def volumes() -> dict[str, Any]:
    """Cubes in NIfTI, graded."""
    draw = np.random.default_rng(2)
    facts = squares(60, draw, 8).with_columns(image=pl.col("image").str.replace(".png", ".nii.gz", literal=True))
    Path("data/images").mkdir(parents=True)
    Path("new").mkdir()

    def cube(size: int) -> nibabel.Nifti1Image:
        voxels = draw.normal(60, 12, (8, 8, 8))
        voxels[2 : 2 + size, 1 : 1 + size, :size] += 110
        return nibabel.Nifti1Image(voxels.astype(np.int16), np.diag([-2.0, -2.0, 2.0, 1.0]))

    for name, size in zip(facts["image"], facts["side"]):
        nibabel.save(cube(size), f"data/images/{name}")
    facts.write_csv("data/labels.csv")
    for number, size in enumerate((0, 2, 4)):
        nibabel.save(cube(size), f"new/n{number}.nii.gz")
    fields = {
        "labels": "data/labels.csv", "group": "patient", "split": "part", "task": "image-classification",
        "target": ("grade",), "where": {"kind": "ordinal", "classes": "none|small|large"},
    }  # fmt: skip
    ours = {"preparation.size": "[8,8,8]", "preparation.spacing": "[2.0,2.0,2.0]", "training.batch": "16"}
    ours |= {"preparation.intensity": '"window"', "preparation.window": "[0,255]", "schedule.learning_rate": "0.01"}
    ours |= {"network.name": "resnet", "network.widths": "[4,8]", "network.blocks": "[1,1]", "schedule.epochs": "4"}
    fit(
        "runs/folds",
        "data/images",
        settings=QUICK | TREES | ours | {"parts": '["network"]', "domain": "false"},
        **fields,
    )
    stacked = TREES | {"members": "single", "schedule.epochs": "6", "network.pooling": "mean and max"}
    fit("runs/stack", "data/images", settings=QUICK | ours | stacked | {"network.norm": "group"}, **fields)
    asked = sorted(str(path) for path in Path("new").glob("*.nii.gz"))
    runs = {name: answers(f"runs/{name}", asked, asked[2:]) for name in ("folds", "stack")}
    return {"runs": runs, "compare": compared("runs/folds", "runs/stack")}


# --- molecules -------------------------------------------------------------------------------------------

CORES = ("c1ccc({})cc1", "C1CCN({})CC1", "c1ccnc({})c1", "O=C(N){}", "CCOC(=O){}", "C1CC1{}")
ENDS = ("C", "CC", "CCC", "CCO", "C(C)C", "CCCl", "CN(C)C", "CC#N", "CCCC", "COC")
NEW = ("c1ccc(CCF)cc1", "O=C(N)CCO", "CC(=O)[O-].[Na+]", "C1CC1CBr", "no molecule", "C[Si](C)(C)CCCCCCCCCCCCCCCCCC")


def molecules() -> dict[str, Any]:
    """Made-up values of made-up compounds: whether there is a ring; a half-life, some of it limits; a potency; logP."""
    from rdkit import Chem
    from rdkit.Chem import Crippen

    draw = np.random.default_rng(3)
    smiles = [core.format(end) for core in CORES for end in ENDS]
    mols = [Chem.MolFromSmiles(one) for one in smiles]
    fat = np.array([Crippen.MolLogP(mol) for mol in mols]) + draw.normal(0, 0.1, len(mols))
    hours = [f"{10 ** (1 + value / 2):.3f}" for value in fat]
    table = pl.DataFrame(
        {
            "smiles": smiles,
            "ring": [None if n % 3 == 0 else "yes" if m.GetRingInfo().NumRings() else "no" for n, m in enumerate(mols)],
            "half_life": [f">{text}" if number % 10 == 0 else text for number, text in enumerate(hours)],
            "potency": [("low", "middle", "high")[int(np.digitize(value, (0.8, 1.6)))] for value in fat],
            "logP": np.round(fat, 3),
        }
    )
    Path("data").mkdir()
    Path("new").mkdir()
    table.write_csv("data/assay.csv")
    ours = [core.format(end) for core in CORES for end in ("CCS", "C1CC1", "CC=C", "CC(C)(C)C", "CCI")]
    other = [round(Crippen.MolLogP(Chem.MolFromSmiles(one)) + 2, 3) for one in ours]
    pl.DataFrame({"smiles": ours, "logP": other}).write_csv("data/ours.csv")
    pl.DataFrame({"smiles": NEW, "name": [f"X-{n}" for n in range(len(NEW))]}).write_csv("new/asked.csv")
    small = {"network.width": "8", "training.batch": "16", "schedule.epochs": "12", "schedule.learning_rate": "0.01"}

    def train(name: str, target: Sequence[str], settings: dict[str, str], stopping: Any = never, **more: Any) -> None:
        fields = {"task": "molecule-property", "accept": ("near-duplicates-across-parts",)}
        source = more.pop("source", "data/assay.csv")
        fit(name, source, stopping, target=tuple(target), settings=settings, **fields, **more)

    both = ["ring", "half_life"]
    train("runs/default", both, QUICK | small | TREES)
    train("runs/neighbours", both, {"parts": '["neighbours"]', "members": "single", "analogues": "true"})
    attention = {"parts": '["network"]', "members": "single", "network.name": "attention"}
    ordered = {"kind": "ordinal", "classes": "low|middle|high"}
    train("runs/attention", ["potency"], QUICK | small | attention, where=ordered)
    train("runs/base", ["logP"], TREES | {"parts": '["trees"]'})
    train("runs/adapted", ["logP"], {}, source="data/ours.csv", split="cv", inputs={"base": "runs/base"})
    train("stopped/default", both, QUICK | small | TREES, when_held_out("stopped/default/model/model/network/fold-1"))
    asked = ["new/asked.csv"]
    names = ("default", "neighbours", "attention", "base", "adapted")
    runs = {name: answers(f"runs/{name}", asked, ["CCO", "c1ccc(CCF)cc1"]) for name in names}
    question = {
        "suggest": "2",
        "candidates": "new/asked.csv",
        "endpoint": "half_life",
        "better": "higher",
        "than": "20",
    }
    questions = [question_to(one, question) for one in ("runs/default", "runs/default/default.medeor")]
    return {"runs": runs, "questions": questions, "compare": compared("runs/default", "runs/neighbours")}


# --- graphs ----------------------------------------------------------------------------------------------


def graphs() -> dict[str, Any]:
    """Numbers on a wheel, and relations that turn it by so many places."""
    turns = {"one": 1, "opposite": 8, "three": 3, "two": 2}
    rows = [(f"n{n:02}", name, f"n{(n + by) % 16:02}") for name, by in turns.items() for n in range(16)]
    order = np.random.default_rng(0).permutation(len(rows))
    parts = np.full(len(rows), "train", dtype=object)
    parts[order[:8]], parts[order[8:16]] = "test", "validation"
    table = pl.DataFrame(rows, schema=["head", "relation", "tail"], orient="row").with_columns(
        part=pl.Series(parts.tolist())
    )
    table = table.with_columns(source=pl.lit("Simulated wheel"), licence=pl.lit("CC0 1.0"))
    Path("data").mkdir()
    Path("new").mkdir()
    table.write_csv("data/edges.tsv", separator="\t")
    nodes = [(f"n{n:02}", f"number {n}", "Even" if n % 2 == 0 else "Odd") for n in range(16)]
    pl.DataFrame(nodes, schema=["id", "name", "kind"], orient="row").write_csv("data/nodes.tsv", separator="\t")
    Path("new/asked.tsv").write_text("n00\topposite\tn08\nn01\tone\tn05\nn00\tone\tmars\nn03\ttwo\tn05\n")
    wheel = QUICK | {"embedding.dimension": "16", "training.batch": "32", "schedule.epochs": "60"}
    rate = {"schedule.learning_rate": "0.05", "embedding.n3": "0.001"}

    def train(name: str, settings: dict[str, str], stopping: Any = never) -> None:
        fit(name, "data", stopping, task="graph-completion", settings=wheel | rate | settings)

    train("runs/complex", {"search.settings": "2"})
    layered = {"embedding.scorer": "distmult", "embedding.layers": "1", "embedding.bases": "2"}
    train("runs/folds", layered | {"members": "folds", "schedule.epochs": "10", "embedding.dimension": "8"})
    others = {"conve": {"training.scheme": "k-versus-all", "training.loss": "binary", "embedding.dimension": "30"}}
    others |= {"rotate": {"training.scheme": "negatives", "training.negatives": "8"}, "transe": {}}
    for scorer, settings in others.items():
        train(f"runs/{scorer}", settings | {"embedding.scorer": scorer, "schedule.epochs": "20"})
    train("stopped/complex", {}, when_logged("stopped/complex/model"))
    runs = {name: answers(f"runs/{name}", ["new/asked.tsv"], []) for name in ("complex", "folds", *others)}
    named = {"tail": "number 5", "relation": "one", "kind": "Even", "top": "3"}
    questions = [question_to("runs/complex", named), question_to("runs/folds", named)]
    for place in ("runs/complex", "runs/complex/complex.medeor", "runs/folds/folds.medeor"):
        questions.append(question_to(place, {"head": "n03", "relation": "two", "top": "4"}))
    questions.append(question_to("runs/complex", {"head": "n00", "relation": "opposite", "tail": "n08"}))
    return {"runs": runs, "questions": questions, "compare": compared("runs/complex", "runs/folds")}


# --- fitting, stopping, asking ---------------------------------------------------------------------------


def never() -> bool:
    return False


def when_logged(folder: str) -> Callable[[], bool]:
    """Stops a fit after its first epoch: it saves where it is."""
    log = Path(folder) / "log.jsonl"
    return lambda: log.exists() and log.stat().st_size > 0


def when_held_out(folder: str) -> Callable[[], bool]:
    """Ends a run at once, as a killed process, when this fold has been fitted."""

    def stopping() -> bool:
        if (Path(folder) / "held_out.parquet").exists():
            raise KeyboardInterrupt
        return False

    return stopping


def fit(name: str, source: str, stopping: Callable[[], bool] = never, **fields: Any) -> None:
    """Walks the road with these fields of a study."""
    with contextlib.suppress(Stopped, KeyboardInterrupt):
        study.walk(verbs.asked(source, **fields), Path(name), Console(quiet=True), stopping)
    state = json.loads((Path(name) / "run.json").read_text())
    if state["finished"] != (stopping is never):
        raise SystemExit(f"{name} ended otherwise than it should")


def answers(folder: str, asked: Sequence[str], explained: Sequence[str]) -> dict[str, Any]:
    """What a run answers, and its bundle, which may know less; its explanations; what its parts answer alone."""
    bundle = f"{folder}/{Path(folder).name}.medeor"
    said: dict[str, Any] = {"asked": list(asked), "predictions": columns(medeor.predict(folder, *asked))}
    said["from the bundle"] = columns(medeor.predict(bundle, *asked))
    if explained:
        found = medeor.explain(folder, *explained)
        said["explained"] = list(explained)
        said["explanations"] = [
            {
                "case_id": one.case_id, "item": one.item, "method": one.method, "shown": one.shown,
                "reason": str(one.reason), "scores": dict(one.scores), **attribution(one),
            }
            for one in found.cases
        ]  # fmt: skip
        said["summary"] = {name: measure._asdict() for name, measure in found.summary.items()}
    # The baseline answers no question of a user's; a newer medeor must read it all the same.
    trained = medeor.load(folder)
    with trained.at_work():
        cases = trained.read(*asked).usable
        place = Path(folder, "baseline")
        run = replace(trained.run, folder=place)
        said["baseline"] = columns(tasks.load_model(place).predict(cases, Run(place, run.seed, run.threads)).table)
    return said


def attribution(one: Explanation) -> dict[str, Any]:
    """The weight of each element; of named elements, of which there are many, those that count."""
    weights = np.asarray(one.attribution, float).round(8)
    if not one.elements:
        return {"shape": list(weights.shape), "weights": weights.ravel().tolist()}
    found = np.flatnonzero(weights).tolist()
    return {"shape": list(weights.shape), "named": [[n, one.elements[n], float(weights[n])] for n in found]}


def question_to(place: str, where: dict[str, str]) -> dict[str, Any]:
    return {"of": place, "where": where, "answers": columns(medeor.ask(place, where).table)}


def compared(ours: str, theirs: str) -> dict[str, Any]:
    return {"ours": ours, "theirs": theirs, "rows": [row._asdict() for row in medeor.compare(ours, theirs)]}


def columns(table: pl.DataFrame) -> dict[str, list[Any]]:
    return table.to_dict(as_series=False)


def pack(room: Path, path: Path) -> None:
    """The files of a room; what a bundle repeats of its run takes no room."""
    with tarfile.open(path, "w:xz", preset=9) as archive:
        for file in sorted(room.rglob("*")):
            if file.is_file():
                entry = tarfile.TarInfo(file.relative_to(room).as_posix())
                entry.size = file.stat().st_size
                with file.open("rb") as content:
                    archive.addfile(entry, content)


def main() -> None:
    if medeor.__version__ != "0.1.0":
        raise SystemExit(__doc__)
    for make in (images, volumes, molecules, graphs):
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            Path("SIMULATED.txt").write_text(NOTICE)
            said = make()
            pack(Path(folder), HERE / f"{make.__name__}.tar.xz")
        text = json.dumps({"medeor": medeor.__version__, **said}, ensure_ascii=False)
        (HERE / f"{make.__name__}.json").write_text(text + "\n", encoding="utf-8")
        print(make.__name__, (HERE / f"{make.__name__}.tar.xz").stat().st_size, len(text))


if __name__ == "__main__":
    main()

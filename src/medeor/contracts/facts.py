"""What is known of a task before anything is imported; the `facts.py` of each modality states it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TaskFacts:
    """What is known of a task before anything is imported."""

    name: str
    does: str
    lives: str
    """`module:class` of the Task."""
    extra: str
    """The extra that installs what it needs: `pip install "medeor[imaging]"`."""
    reads: str
    options: Mapping[str, str]
    """What `--option` may ask of it, and what each key means."""
    files: tuple[str, ...] = ()
    """Which keys of `options` name a file: it lies with the data, and no bundle says where."""
    endings: tuple[str, ...] = ()
    """How the names of files end that only this task reads."""
    columns: tuple[str, ...] = ()
    """Names of columns, any of which says that a table is for this task; `*`: any table in which no other task knows a
    column."""
    example: str = ""
    """`module:function` that makes a small study in each state in which the conformance suite asks for it: see
    `medeor.testing.Example`."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """What of other studies it can use (`--set inputs.ROLE=path`), by role, and what for."""
    query: Mapping[str, str] = field(default_factory=dict)
    """What `medeor predict --query` may ask of its models in the place of sources, and what each key means."""
    answers: str = ""
    """`module:function` that answers such a question: (the question, `contracts.Answering`) → `contracts.Answers`."""
    case_page: str = ""
    """`module:function` that tells a reader of a few predicted cases: (cases, predictions, model, run, the items whose
    reasons are withheld, with why; None where no reasons are wanted) → `figures.Figure`s."""
    writes: Mapping[str, str] = field(default_factory=dict)
    """By the ending of a file that only this task can write predictions to, `module:function` that does: (table of
    predictions, path)."""
    carries: str = ""
    """`module:function` that names the columns of the case table that a table of predictions keeps beside `source` and
    `broken`: (columns) → names."""
    onnx: bool = False
    """Whether its networks can be written as ONNX."""
    embeds: str = ""
    """`module:function` that gives what its models learnt as a table: (model, run) → `formats.embeddings` columns."""
    graphs: str = ""
    """`module:function` that writes the graph which its models answer from: (model, run, path, the entity around which
    it is drawn)."""

"""The types that every room shares: the question (`Study`, `Task`), the data (`Cases`, `Split`), what answers it
(`Method`, `Model`, `Recipe`), what comes out (`Predictions`, `Measures`, `Finding`), and the one user error.

Nothing here imports a numerical library at run time, so the command line can start in a blink."""

from medeor.contracts.data import Cases, Inputs, Kept, OnDisk, Part, Split, Store, Target
from medeor.contracts.errors import Stopped, UserError, without_controls
from medeor.contracts.facts import SHAPES, FileFacts, Offer, OfferKind, TaskFacts
from medeor.contracts.methods import (
    Answering,
    ExplainedBy,
    Explains,
    Fitted,
    Method,
    Model,
    Plan,
    Progress,
    Result,
    Run,
    Task,
)
from medeor.contracts.recipes import Batch, Batches, ExplainsNetwork, Exports, Processors, Recipe
from medeor.contracts.results import (
    BORDERLINE,
    IN_DOMAIN,
    OUT_OF_DOMAIN,
    Answers,
    Attribution,
    Explanation,
    Explanations,
    Finding,
    Measure,
    Measures,
    Predictions,
)
from medeor.contracts.study import ROAD, Budget, Sources, Step, Study

__all__ = [
    "BORDERLINE",
    "IN_DOMAIN",
    "OUT_OF_DOMAIN",
    "ROAD",
    "SHAPES",
    "Answering",
    "Answers",
    "Attribution",
    "Batch",
    "Batches",
    "Budget",
    "Cases",
    "ExplainedBy",
    "Explains",
    "ExplainsNetwork",
    "Explanation",
    "Explanations",
    "Exports",
    "FileFacts",
    "Finding",
    "Fitted",
    "Inputs",
    "Kept",
    "Measure",
    "Measures",
    "Method",
    "Model",
    "Offer",
    "OfferKind",
    "OnDisk",
    "Part",
    "Plan",
    "Predictions",
    "Processors",
    "Progress",
    "Recipe",
    "Result",
    "Run",
    "Sources",
    "Split",
    "Step",
    "Stopped",
    "Store",
    "Study",
    "Target",
    "Task",
    "TaskFacts",
    "UserError",
    "without_controls",
]

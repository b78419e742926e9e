"""Prediction from a plain table: what is known of it before anything is imported."""

from medeor.contracts import TaskFacts

TASKS = (
    TaskFacts(
        name="table-prediction",
        does="classes, ordered grades, numbers or the time until an event, from the columns of a table",
        lives="medeor.tabular.task:TableTask",
        extra="tabular",
        example="medeor.tabular.example:example",
        reads="tables with one row a case: CSV, TSV, Parquet, Excel, data frames",
        options={
            "drop": "columns that no model is given, set apart by |",
            "id": "column by which a case is known again; default: case_id, where there is one",
            "kind": "classes, ordinal or continuous, where the values leave it open",
            "classes": "names of the classes in the order of their numbers, set apart by |",
            "positive": "the class that counts as positive in a two-class question",
            "scale": "log: learn a number by its logarithm; linear: as it stands",
            "follow_up": "column of the time until the event, or until the case was last seen without it",
            "horizons": "times by which the event is predicted, set apart by |; default: by the times of events",
        },
        formats=("medeor.formats.tables.facts:ANY_TABLE",),
    ),
)

LOADERS: dict[str, str] = {}

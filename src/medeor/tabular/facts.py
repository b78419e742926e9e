"""Prediction from a plain table: what is known of it before anything is imported."""

from medeor.contracts import Message, TaskFacts, named

TASKS = (
    TaskFacts(
        name="table-prediction",
        does=Message("tabular.task.does"),
        lives="medeor.tabular.task:TableTask",
        extra="tabular",
        example="medeor.tabular.example:example",
        reads=Message("tabular.task.reads"),
        options={
            **named("tabular.options", "drop", "scale", "follow_up", "horizons"),
            **named("cases.options", "id", "kind", "classes", "positive"),
        },
        formats=("medeor.formats.tables.facts:ANY_TABLE",),
    ),
)

LOADERS: dict[str, str] = {}

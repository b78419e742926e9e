"""Completion of a graph: what is known of it before anything is imported."""

from medeor.contracts import Message, Offer, TaskFacts, named

_OPTIONS = named(
    "knowledge.options", "head", "relation", "tail", "head_name", "tail_name", "head_kind", "tail_kind", "source",
    "licence", "release", "part", "id", "name", "kind", "mapping",
)  # fmt: skip

TASKS = (
    TaskFacts(
        name="graph-completion",
        does=Message("knowledge.task.does"),
        lives="medeor.knowledge.task:GraphTask",
        example="medeor.knowledge.example:example",
        extra="knowledge",
        reads=Message("knowledge.task.reads"),
        options=_OPTIONS,
        files=("mapping",),
        formats=("medeor.formats.graphs.facts:GRAPHS",),
        offers=(
            Offer(
                "answers",
                "question",
                Message("knowledge.offers.answers"),
                "medeor.knowledge.questions.answers:answer",
                named("knowledge.query", "head", "relation", "tail", "top", "evidence", "kind", "excludes"),
            ),
            Offer(
                "embeddings",
                "file",
                Message("knowledge.offers.embeddings"),
                "medeor.knowledge.questions.answers:write_embeddings",
                endings=(".parquet",),
            ),
            Offer(
                "graph",
                "file",
                Message("knowledge.offers.graph"),
                "medeor.knowledge.draw:write",
                named("knowledge.offers", "around"),
                (".tsv", ".tsv.gz", ".graphml", ".graphml.gz", ".svg"),
            ),
        ),
    ),
)

LOADERS = {
    "graph-recipe": "medeor.knowledge.model.recipe:GraphRecipe",
    "graph-baseline": "medeor.knowledge.model.baselines:load",
}

"""Completion of a graph: what is known of it before anything is imported."""

from medeor.contracts import Offer, TaskFacts

TASKS = (
    TaskFacts(
        name="graph-completion",
        does="missing edges of a knowledge graph: drug to disease, disease to gene, any relation",
        lives="medeor.knowledge.task:GraphTask",
        example="medeor.knowledge.example:example",
        extra="knowledge",
        reads="triples and tables of edges (TSV, CSV, Parquet), Hetionet and PrimeKG tables, OBO, UMLS RRF",
        options={
            "head": "column of the entity from which an edge starts",
            "relation": "column of the relation; where the file has none, the name of the one relation it holds",
            "tail": "column of the entity to which an edge leads",
            "head_name": "column of the names of heads",
            "tail_name": "column of the names of tails",
            "head_kind": "column of the kinds of heads, or their one kind",
            "tail_kind": "column of the kinds of tails, or their one kind",
            "source": "column naming where an edge comes from, or the one source",
            "licence": "column of the licence of an edge, or the one licence",
            "release": "column of the release of the source, or the one release",
            "part": "column saying train, validation or test",
            "id": "column of the identifiers in a table of nodes",
            "name": "column of the names in a table of nodes",
            "kind": "column of the kinds in a table of nodes",
            "mapping": "table of two columns, identifiers of the same thing, that joins several sources",
        },
        files=("mapping",),
        formats=("medeor.formats.graphs.facts:GRAPHS",),
        offers=(
            Offer(
                "answers",
                "question",
                "the most plausible answers, with their evidence",
                "medeor.knowledge.questions.answers:answer",
                {
                    "head": "the entity that is known, by identifier, name or synonym: its tails are asked for",
                    "relation": "the relation",
                    "tail": "or the entity at the other end: its heads are asked for; with head, this one triple",
                    "top": "how many answers, by default 20",
                    "kind": "the kind of entity that an answer must be, e.g. Disease",
                    "excludes": "relations that contradict the one asked, set apart by commas, e.g. contraindicates",
                },
            ),
            Offer(
                "embeddings",
                "file",
                "what was learnt of each entity: id, name, kind, vector",
                "medeor.knowledge.questions.answers:write_embeddings",
                endings=(".parquet",),
            ),
            Offer(
                "graph",
                "file",
                "the graph of a run: triples, GraphML, or a picture",
                "medeor.knowledge.draw:write",
                {"around": "the entity around which the .svg is drawn"},
                (".tsv", ".tsv.gz", ".graphml", ".graphml.gz", ".svg"),
            ),
        ),
    ),
)

LOADERS = {
    "graph-recipe": "medeor.knowledge.model.recipe:GraphRecipe",
    "graph-baseline": "medeor.knowledge.model.baselines:load",
}

"""What a compound does: what is known of it before anything is imported."""

from medeor.contracts import Offer, TaskFacts

TASKS = (
    TaskFacts(
        name="molecule-property",
        does="what a compound does: activity, toxicity, ADMET; one or many endpoints",
        lives="medeor.molecules.task:MoleculeTask",
        example="medeor.molecules.example:example",
        extra="molecules",
        reads="tables with SMILES (CSV, TSV, Parquet, Excel), SDF, lists of SMILES",
        options={
            "smiles": "column of the structures",
            "kind": "classes, ordinal or continuous, where the values leave it open",
            "classes": "names of the classes in the order of their numbers, set apart by |",
            "positive": "the class that counts as positive in a two-class question",
            "tautomer": "canonical: one tautomer stands for all; keep (the default)",
            "stereo": "drop: leave stereochemistry out; keep (the default)",
            "scale": "log: learn a number by its logarithm; linear: as it stands",
            "unit": "unit of a number where the file names none, and into which it is converted where it names one",
            "endpoint": "what a number measures, e.g. hlm_clearance (endpoints.toml); of several, set apart by |",
            "decimal": "comma or point: the sign before decimals, where the file leaves it open",
        },
        formats=("medeor.formats.molecules.facts:MOLECULES",),
        inputs={"base": "a run or bundle with the same endpoints, which is adapted to these compounds"},
        offers=(
            Offer(
                "suggestions",
                "question",
                "the compounds to make or measure next",
                "medeor.molecules.questions.suggest:answer",
                {
                    "suggest": "how many compounds to make or measure next",
                    "candidates": "the file of compounds to choose from",
                    "aim": "best (the default): those that may beat what was measured; learn: those that teach most",
                    "endpoint": "by which endpoint; needed where there are several",
                    "better": "higher or lower, where the endpoint does not say",
                    "than": "the value to beat; by default the best that was measured",
                },
            ),
            Offer(
                "compounds",
                "page",
                "each compound with its predictions, their reasons, and the nearest measured compounds",
                "medeor.molecules.questions.panel:case_page",
            ),
            Offer(
                "sdf",
                "table",
                "a record a compound, with its predictions as properties",
                "medeor.molecules.questions.sdf_export:write",
                endings=(".sdf",),
            ),
        ),
    ),
)

LOADERS = {
    "molecule-recipe": "medeor.molecules.model.recipe:MoleculeRecipe",
    "molecule-features": "medeor.molecules.model.features:MoleculeFeatures",
    "molecule-neighbours": "medeor.molecules.model.neighbours:load",
    "molecule-domain": "medeor.molecules.model.domain:load",
    "molecule-adapted": "medeor.molecules.model.adapt:load",
}

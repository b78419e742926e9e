"""What a compound does: what is known of it before anything is imported."""

from medeor.contracts import Message, Offer, TaskFacts, named

_OPTIONS = {
    **named("molecules.options", "smiles", "tautomer", "stereo", "scale", "unit", "endpoint", "decimal"),
    **named("cases.options", "kind", "classes", "positive"),
}

TASKS = (
    TaskFacts(
        name="molecule-property",
        does=Message("molecules.task.does"),
        lives="medeor.molecules.task:MoleculeTask",
        example="medeor.molecules.example:example",
        extra="molecules",
        reads=Message("molecules.task.reads"),
        options=_OPTIONS,
        formats=("medeor.formats.molecules.facts:MOLECULES",),
        inputs=named("molecules.task", "base"),
        offers=(
            Offer(
                "suggestions",
                "question",
                Message("molecules.task.suggestions"),
                "medeor.molecules.questions.suggest:answer",
                named("molecules.query", "suggest", "candidates", "aim", "endpoint", "better", "than"),
            ),
            Offer(
                "compounds", "page", Message("molecules.task.compounds"), "medeor.molecules.questions.panel:case_page"
            ),
            Offer(
                "sdf",
                "table",
                Message("molecules.task.sdf"),
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

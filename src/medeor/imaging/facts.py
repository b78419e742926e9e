"""Diagnosis from images: what is known of it before anything is imported."""

from medeor.contracts import Message, Offer, TaskFacts, named

TASKS = (
    TaskFacts(
        name="image-classification",
        does=Message("imaging.task.does"),
        lives="medeor.imaging.task:ImageTask",
        example="medeor.imaging.example:example",
        extra="imaging",
        reads=Message("imaging.task.reads"),
        options={
            **named("imaging.options", "image"),
            **named("cases.options", "classes", "kind", "positive", "id"),
        },
        formats=("medeor.formats.images.facts:IMAGES",),
        offers=(
            Offer(
                "onnx",
                "file",
                Message("imaging.task.onnx"),
                "medeor.learning.networks.export:to_onnx",
                endings=(".onnx",),
            ),
        ),
    ),
)

LOADERS = {
    "image-recipe": "medeor.imaging.model.recipe:ImageRecipe",
    "image-domain": "medeor.imaging.model.domain:load",
    "image-features": "medeor.imaging.model.features:ImageFeatures",
}

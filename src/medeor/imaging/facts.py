"""Diagnosis from images: what is known of it before anything is imported."""

from medeor.contracts import Offer, TaskFacts

TASKS = (
    TaskFacts(
        name="image-classification",
        does="diagnosis from images: classes, several labels, ordered grades, or a number",
        lives="medeor.imaging.task:ImageTask",
        example="medeor.imaging.example:example",
        extra="imaging",
        reads="MedMNIST .npz; a folder a class; a table of paths; PNG, JPEG, TIFF, DICOM, NIfTI; 2-D and 3-D",
        options={
            "image": "columns of the table that name the images of a case, e.g. image=t1,t2",
            "classes": "names of the classes in the order of their numbers, set apart by |",
            "kind": "classes, ordinal or continuous, where the values leave it open",
            "positive": "the class that counts as positive in a two-class question",
            "id": "column of the table by which a case is known again; default: case_id, where there is one",
        },
        formats=("medeor.formats.images.facts:IMAGES",),
        offers=(
            Offer(
                "onnx",
                "file",
                "the networks as one model, checked against medeor's own answers",
                "medeor.learning.export:to_onnx",
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

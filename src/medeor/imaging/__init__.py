"""Diagnosis from images: classes, several labels, ordered grades, or a number."""

"""Molecules as people keep them: tables, SDF, lists of SMILES."""

"""Graphs as people keep them: tables of edges and nodes, triples, ontologies, the UMLS."""

"""Contracts of the Open Data Contract Standard 3.1: `reading` makes datasets of them, `writing` one of a dataset, `rules` knows quality rules."""

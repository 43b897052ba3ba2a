"""Rehearsals of what can go wrong, beside the project and without touching it."""

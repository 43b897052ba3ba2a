"""Formats of fitted members: each reads bytes that execute nothing, and scores."""

"""Forecasts: series of a table, the members that go on with them, and how they are weighed, kept and asked."""

"""Answers requests: nodes, versions in memory, rollouts."""

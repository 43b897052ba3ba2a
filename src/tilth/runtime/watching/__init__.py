"""Looks at what an environment serves: the window of answers, what was tuned on, what a look saw; on demand and, by `keeping`, when due."""

"""Which of two models is better: rows that neither has seen, paired metrics, bounds, and the verdict."""

"""What is usual of a dataset: counts, gaps and shares by period, followed through its history, and what comes next judged by it."""

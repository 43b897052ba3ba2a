"""What is seen of a model while it serves: logged answers, drift, quality, and how a rollout stands."""

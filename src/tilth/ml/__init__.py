"""Floor 5: what tilth knows about machine learning: data, models, their bundles, learning, judging, watching."""

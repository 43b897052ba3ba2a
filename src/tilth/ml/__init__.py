"""Floor 5: data, learning, bundles and serving: what tilth knows about machine learning."""

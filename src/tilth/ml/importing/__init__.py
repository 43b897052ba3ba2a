"""Models that other tools have fitted, as versions here: MLflow's folders, read without running anything in them."""

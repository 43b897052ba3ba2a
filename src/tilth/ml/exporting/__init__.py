"""Versions of models in the formats of others: an MLflow folder, an ONNX graph."""

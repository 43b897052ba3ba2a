"""The HTTP door: predictions, the Open Inference Protocol, health, metrics and the console page."""

"""Training, calibration, evaluation and gates."""

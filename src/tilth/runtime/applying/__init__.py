"""Performs plans: binding, collecting, training, the gate, garbage."""

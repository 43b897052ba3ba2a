"""Places where jobs run apart: a jailed process on this machine, or, for tests, this process."""

"""For all tests: properties are judged by what they find, never by how fast this machine was."""

from hypothesis import HealthCheck, settings

settings.register_profile("tilth", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tilth")

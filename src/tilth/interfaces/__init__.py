"""Floor 8: the doors. They show what the tables hold and keep no knowledge of their own."""

from importlib import resources


def style() -> str:
    """What all pages look like, light and dark, at a desk and on a phone: the console, and those that are sent."""
    return resources.files(__package__).joinpath("style.css").read_text("utf-8")

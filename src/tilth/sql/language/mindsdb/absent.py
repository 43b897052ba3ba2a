"""What MindsDB has and tilth does not do: a sentence each, and what there is instead."""

from __future__ import annotations

from tilth.core.errors import UnsupportedError
from tilth.sql.language.tokens import Cursor

_NO_WORDS = "tilth trains and serves models of tables, and asks no language model."
ABSENT = {
    "KNOWLEDGE_BASE": ("Knowledge bases", _NO_WORDS),
    "KNOWLEDGE": ("Knowledge bases", _NO_WORDS),
    "AGENT": ("Agents", _NO_WORDS),
    "CHATBOT": ("Chatbots", _NO_WORDS),
    "SKILL": ("Skills of agents", _NO_WORDS),
    "RAG": ("Retrieval pipelines", _NO_WORDS),
    "ANOMALY": (
        "Models of odd rows, which have no target,",
        "PREDICT a column that says which rows were odd; drift of what a model is asked is watched anyway.",
    ),
}
"""By the word after the verb: what it is, and what to do."""


def absent(c: Cursor, verb: str, word: str) -> UnsupportedError:
    """The error of a statement about what there is not."""
    what, hint = ABSENT.get(word) or ABSENT[word.removesuffix("S")]
    return UnsupportedError(f"{what} are not what tilth does ({verb} {word}).", hint=hint, where=c.position())

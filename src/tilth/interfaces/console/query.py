"""The SQL page: an editor, and the names that it completes. Its statements are performed by the door, never by the process that draws."""

from __future__ import annotations

import json

from tilth.core.errors import InputError
from tilth.interfaces.console.looking import Looking, Page
from tilth.runtime.record import environments
from tilth.runtime.showing.words import words

LONGEST = 100_000  # characters of a statement in the URL
KEYWORDS = (
    "SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "LIMIT", "JOIN", "LEFT JOIN", "ON", "AS OF", "WITH", "HAVING", "DISTINCT", "CASE WHEN", "CREATE MODEL", "CREATE DATASET",
    "CREATE ENDPOINT", "DESCRIBE", "EXPLAIN", "EXPLAIN PREDICT", "PLAN", "APPLY", "REFRESH DATASET", "RETRAIN MODEL", "PROMOTE MODEL", "ROLLBACK ENVIRONMENT", "LOOK AT", "SHOW", "SUMMARIZE",
)  # fmt: skip


def editor(at: Looking) -> Page:
    """The page at `/query`; `?sql=` fills the editor."""
    text = at.query.get("sql", "")
    if len(text) > LONGEST:
        raise InputError(f"The statement has over {LONGEST:,} characters.", hint="Paste it into the editor.")
    number = environments.current_number(at.work.state, at.environment)
    known = at.kept.get(("words", at.environment, number), lambda: words(at.work, at.environment))
    relations = [(name, columns) for name, columns in sorted(known.items()) if not name.startswith("tilth.")]
    values = {
        "text": text,
        "words": json.dumps({"relations": known, "keywords": KEYWORDS}),
        "relations": relations,
        "system": sorted(n for n in known if n.startswith("tilth.")),
    }
    return Page(
        "SQL",
        "query.html",
        values,
        "SELECT * FROM tilth.statements ORDER BY began_at DESC LIMIT 40",
        (("Overview", at.url()),),
    )

"""What was learned of texts, put where a version keeps it: weights of terms go into the preparation, and rows have their scores.

Before that, rows name their texts (`texts`); a member that learned from terms reads the scores, no other does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tilth.ml.model.ensemble import Heads, heads, of_members
from tilth.ports.texts import Reading

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ml.learning.made import Made, Member
    from tilth.ml.learning.rows import Rows
    from tilth.ml.model.preparation import Preparation

    Matrix = npt.NDArray[np.float64]


def served(data: Rows, made: Made) -> tuple[Rows, Made]:
    """The rows as what serves reads them, and the members for such rows: with scores of texts where a member takes some."""
    width = data.x.shape[1]
    learned = next((m.fitted.texts for m in made.members if m.fitted.texts), ())
    preparation, x = data.preparation, data.x
    if learned:
        import numpy as np

        for name, weights in zip(preparation.texts, learned, strict=True):
            space = preparation.texts[name]
            preparation = preparation.with_text(
                name, space.with_scores(weights.astype(np.float64), np.zeros(weights.shape[1]))
            )
        assert data.texts is not None, "what was learned of texts was learned from some"
        x = _with_gaps(data.texts.read(data.full, learned), width, data, preparation)
    members = tuple(replace(m, scorer=_bare(m, width, x.shape[1])) for m in made.members)
    scorer = of_members([(m.scorer, m.weight) for m in members])
    rows = replace(data, x=x, full=x, texts=None, preparation=preparation)
    return rows, replace(made, members=members, scorer=scorer)


def _with_gaps(x: Matrix, width: int, data: Rows, preparation: Preparation) -> Matrix:
    """The scores as preparation has them: NaN where a text is missing and no gap counts as a value."""
    import numpy as np

    at = width
    for column in preparation.columns:
        if column.tails and not column.fills:
            lacking = np.asarray(data.table.column(column.name).is_null(), dtype=np.bool_)
            x[lacking, at : at + len(column.tails)] = np.nan
        at += len(column.tails)
    return x


def _bare(member: Member, width: int, of: int) -> Any:
    """The scorer of rows as they are served."""
    scorer = member.scorer
    if isinstance(scorer, Reading):
        return scorer.scorer
    return heads(scorer.scorer if isinstance(scorer, Heads) else scorer, width, of)

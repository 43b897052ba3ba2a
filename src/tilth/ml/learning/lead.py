"""By what a teacher is better, and how much of that what serves has. `teaching` fits the student, `fitting` measures."""

from __future__ import annotations

from dataclasses import dataclass

from tilth.core.figures import figure


@dataclass(frozen=True, slots=True)
class Lead:
    """Honest losses: of the blend without a student, of what serves, of the teacher alone and of the student alone."""

    teacher: str
    without: float
    served: float
    taught: float
    student: float
    serves: bool

    @property
    def kept(self) -> float | None:
        """The share of the teacher's lead that what serves has; None where it has no lead."""
        lead = self.without - self.taught
        return (self.without - self.served) / lead if lead > 0 else None

    def plain(self) -> dict[str, object]:
        """JSON-able values."""
        return {
            "loss": self.taught, "student_loss": self.student, "loss_without": self.without, "loss_with": self.served,
            "lead": (self.without - self.taught) / self.without if self.without else 0.0, "kept": self.kept,
            "serves": self.serves,
        }  # fmt: skip

    @property
    def words(self) -> str:
        """What to say of it."""
        losses = (figure(v, 4) for v in (self.taught, self.student, self.without, self.served))
        said = "The teacher `{}` has a loss of {}, its student of {}, the other members of {} and what serves of {}".format(
            self.teacher, *losses
        )
        kept = "it has no lead" if self.kept is None else f"{self.kept:.0%} of its lead is kept"
        if self.kept is not None and self.kept > 1:
            kept = "more than its lead is had"
        return f"{said}: {kept}." + (
            "" if self.serves else " The student does not serve: nothing is better with it."
        )

"""The one family of errors. Every error says what happened, where, and what to do next.

    TilthError
    ├── LanguageError            the text is not a statement we know                 E-SYNTAX
    ├── ProjectError             the statements do not fit together                  E-PROJECT
    │   ├── UnknownNameError     a name that nothing declares or returns             E-NAME
    │   ├── CycleError           resources that depend on each other                 E-CYCLE
    │   ├── ServedDropError      what serves would be dropped, and nobody said so    E-DROP
    │   └── SavedPlanError       a saved plan is none, or does not fit what is there E-PLAN
    ├── DataError                the data is not what was declared                   E-DATA
    │   ├── CheckFailedError     an EXPECT ... ON FAIL STOP did not hold             E-CHECK
    │   └── TargetError          the target column cannot be learned                 E-TARGET
    ├── InputError               a prediction's inputs do not fit the signature      E-INPUT
    ├── SourceError              a source refused or went away                       E-SOURCE
    ├── StorageError             a disk, folder or state file failed us              E-STORAGE
    │   ├── DamagedError         stored content is missing or not what was stored    E-DAMAGE
    │   └── StateChangedError    the state file was changed by something else        E-STATE
    ├── BusyError                somebody else is doing this just now                E-BUSY
    ├── TamperError              a bundle is not what was signed                     E-TAMPER
    ├── GateRefusedError         a candidate did not pass                            E-GATE
    ├── TrainingError            an engine could not make a model                    E-TRAIN
    ├── ResourceLimitError       memory or time ran out                              E-LIMIT
    ├── CancelledError           somebody ended the statement                        E-CANCEL
    ├── LostError                a process of ours ended before its answer did       E-LOST
    ├── AuthError                no token, or a wrong one                            E-AUTH
    │   └── RightError           whoever asks may not do this                        E-RIGHT
    ├── MissingExtraError        a package is needed that is not installed           E-EXTRA
    └── UnsupportedError         tilth knows what you mean and does not do it        E-UNSUPPORTED

Each class fixes a stable code, an exit status, an HTTP status, a SQLSTATE, and whether trying again can help.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

WIDEST = 120  # characters of a line that are shown


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a text: 1-based line and column, the length of what is meant, and the line itself."""

    line: int
    column: int
    length: int = 1
    file: str | None = None
    text: str | None = None

    def __str__(self) -> str:
        return f"{self.file or '<statement>'}:{self.line}:{self.column}"

    def excerpt(self) -> str:
        """The line with a caret below, indented by four; empty when the text is not known."""
        if self.text is None:
            return ""
        number, first = str(self.line), max(0, self.column - 1 - WIDEST // 2)
        first = first if len(self.text) > WIDEST else 0
        shown, at = self.text[first : first + WIDEST], self.column - 1 - first
        gap = "".join("\t" if c == "\t" else " " for c in shown[:at])
        caret = "^" * max(1, min(self.length, len(shown) - at))
        return f"    {number} | {shown}\n    {' ' * len(number)} | {gap}{caret}"


class TilthError(Exception):
    """Something did not work; `str()` is the whole instruction, `fields()` the same as data."""

    code: ClassVar[str] = "E-TILTH"
    exit_status: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    sqlstate: ClassVar[str] = "XX000"
    retry: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        where: Position | None = None,
        detail: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where
        self.detail = detail

    def __str__(self) -> str:
        rows = [f"{self.message}  [{self.code}]"]
        if self.where is not None:
            rows.append(f"  {self.where}")
            if excerpt := self.where.excerpt():
                rows.append(excerpt)
        rows += [f"  {row}" for row in self.detail]
        if self.hint:
            rows.append(f"  {self.hint}")
        return "\n".join(rows)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint, self.where, self.detail))

    def at(self, where: Position) -> TilthError:
        """The same error with a place, if it had none."""
        if self.where is None:
            self.where = where
        return self

    def fields(self) -> dict[str, object]:
        """The error as plain values, for `--json`, HTTP and the log."""
        out: dict[str, object] = {"code": self.code, "message": self.message, "retry": self.retry}
        if self.hint:
            out["hint"] = self.hint
        if self.where is not None:
            out["where"] = str(self.where)
        if self.detail:
            out["detail"] = list(self.detail)
        return out


def _rebuild(
    cls: type[TilthError], message: str, hint: str | None, where: Position | None, detail: tuple[str, ...]
) -> TilthError:
    return cls(message, hint=hint, where=where, detail=detail)


class LanguageError(TilthError):
    code, exit_status, http_status, sqlstate = "E-SYNTAX", 2, 400, "42601"


class ProjectError(TilthError):
    code, exit_status, http_status, sqlstate = "E-PROJECT", 2, 400, "42000"


class UnknownNameError(ProjectError):
    code, http_status, sqlstate = "E-NAME", 404, "42704"


class CycleError(ProjectError):
    code, sqlstate = "E-CYCLE", "42P19"


class ServedDropError(ProjectError):
    """Carries the names that would be dropped."""

    code, http_status, sqlstate = "E-DROP", 409, "2BP01"
    names: tuple[str, ...] = ()


class SavedPlanError(ProjectError):
    code, exit_status, http_status, sqlstate = "E-PLAN", 13, 409, "55000"


class DataError(TilthError):
    code, exit_status, http_status, sqlstate = "E-DATA", 3, 422, "22000"


class CheckFailedError(DataError):
    """Carries every check's result, also of those that held (values of `ports.snapshots`)."""

    code, sqlstate = "E-CHECK", "23514"
    results: tuple[Any, ...] = ()


class TargetError(DataError):
    code = "E-TARGET"


class InputError(TilthError):
    code, exit_status, http_status, sqlstate = "E-INPUT", 2, 422, "22023"


class SourceError(TilthError):
    code, exit_status, http_status, sqlstate, retry = "E-SOURCE", 4, 502, "08000", True


class StorageError(TilthError):
    code, exit_status, http_status, sqlstate, retry = "E-STORAGE", 5, 507, "58030", True


class DamagedError(StorageError):
    code, sqlstate, retry = "E-DAMAGE", "XX001", False


class StateChangedError(StorageError):
    code, sqlstate, retry = "E-STATE", "XX001", False


class BusyError(TilthError):
    code, exit_status, http_status, sqlstate, retry = "E-BUSY", 6, 409, "55P03", True


class TamperError(TilthError):
    code, exit_status, http_status, sqlstate = "E-TAMPER", 7, 409, "28000"


class GateRefusedError(TilthError):
    code, exit_status, http_status, sqlstate = "E-GATE", 8, 409, "P0001"


class TrainingError(TilthError):
    code, exit_status, http_status, sqlstate = "E-TRAIN", 9, 500, "58000"


class ResourceLimitError(TilthError):
    code, exit_status, http_status, sqlstate, retry = "E-LIMIT", 10, 503, "53000", True


class CancelledError(TilthError):
    code, exit_status, http_status, sqlstate = "E-CANCEL", 14, 499, "57014"


class LostError(TilthError):
    code, exit_status, http_status, sqlstate, retry = "E-LOST", 15, 503, "58000", True


class AuthError(TilthError):
    code, exit_status, http_status, sqlstate = "E-AUTH", 11, 401, "28P01"


class RightError(AuthError):
    code, http_status, sqlstate = "E-RIGHT", 403, "42501"


class MissingExtraError(TilthError):
    code, exit_status, http_status, sqlstate = "E-EXTRA", 12, 501, "0A000"


class UnsupportedError(TilthError):
    code, exit_status, http_status, sqlstate = "E-UNSUPPORTED", 2, 501, "0A000"

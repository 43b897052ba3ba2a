"""What each statement asks of who performs it, and what each role is given. Denied unless it stands here.

Doors ask in one place each: `Session.perform` before a statement, HTTP before a path is answered (its paths name a right in
their own table). `tests/unit/plan/test_rights.py` compares the table with the statements that there are.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from tilth.core.errors import RightError
from tilth.core.principals import Principal, Role
from tilth.sql.language.acts import (
    Alter,
    ApplyStatement,
    CancelRun,
    CancelStatement,
    CreateTable,
    CreateToken,
    Describe,
    Drill,
    DropToken,
    Evaluate,
    ExplainDataset,
    ExplainPredict,
    ExplainQuery,
    InsertInto,
    LookAt,
    Noted,
    PlanStatement,
    PromoteEnvironment,
    PromoteModel,
    RefreshDataset,
    ResetSetting,
    RetrainModel,
    RollbackEnvironment,
    RunJob,
    Select,
    SetSetting,
    Show,
    ShowSetting,
    Summarize,
    UseEnvironment,
)
from tilth.sql.language.mending import ForgetFrom, HoldQuarantine, ReleaseQuarantine
from tilth.sql.language.statements import Drop


class Right(enum.StrEnum):
    """READ: ask and look. PREDICT: have rows answered by models. DECLARE: say what is to be. OPERATE: have it done now.

    GRANT: let others in.
    """

    READ = "read"
    PREDICT = "predict"
    DECLARE = "declare"
    OPERATE = "operate"
    GRANT = "grant"


STATEMENTS: Mapping[type, Right] = {
    Select: Right.READ,
    PlanStatement: Right.READ,
    LookAt: Right.READ,
    Evaluate: Right.READ,
    Noted: Right.READ,
    Describe: Right.READ,
    Show: Right.READ,
    Summarize: Right.READ,
    ExplainDataset: Right.READ,
    ExplainPredict: Right.PREDICT,
    ExplainQuery: Right.READ,
    Alter: Right.DECLARE,
    Drop: Right.DECLARE,
    ApplyStatement: Right.DECLARE,
    PromoteEnvironment: Right.OPERATE,
    PromoteModel: Right.OPERATE,
    RollbackEnvironment: Right.OPERATE,
    RefreshDataset: Right.OPERATE,
    RetrainModel: Right.OPERATE,
    ForgetFrom: Right.OPERATE,
    ReleaseQuarantine: Right.OPERATE,
    HoldQuarantine: Right.OPERATE,
    CreateTable: Right.OPERATE,
    InsertInto: Right.OPERATE,
    Drill: Right.OPERATE,
    RunJob: Right.OPERATE,
    CancelRun: Right.OPERATE,
    CancelStatement: Right.READ,
    SetSetting: Right.READ,
    ResetSetting: Right.READ,
    UseEnvironment: Right.READ,
    ShowSetting: Right.READ,
    CreateToken: Right.GRANT,
    DropToken: Right.GRANT,
}
"""Of statements that act or ask; those of kinds, which declare, ask for DECLARE, whatever kinds there are."""
RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.OWNER: frozenset(Right),
    Role.READER: frozenset({Right.READ}),
    Role.PREDICTOR: frozenset({Right.PREDICT}),
}


def may(by: Principal, right: Right) -> bool:
    """Whether the principal has the right."""
    return right in RIGHTS[by.role]


def require(by: Principal, right: Right, what: str) -> None:
    """Return when the principal has the right; RightError naming what was to be done, and who may do it."""
    if may(by, right):
        return
    roles = " or ".join(role.value for role, given in RIGHTS.items() if right in given)
    raise RightError(
        f"{what} needs the right to {right.value}, and {by.text} is a {by.role.value}.",
        hint=f"Ask as {roles}.",
    )


def allowed(by: Principal, statement: object, *, declares: bool) -> None:
    """Return when the principal may perform the statement; RightError else, and for one that no row names.

    `declares`: it is the statement of a kind of resource.
    """
    kind = type(statement)
    right = Right.DECLARE if declares else STATEMENTS.get(kind)
    if right is None:
        raise RightError(f"{kind.__name__} is denied: no right is declared for it.", hint="Report this.")
    require(by, right, f"The statement {kind.__name__}")

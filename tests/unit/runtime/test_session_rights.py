"""A session asks for the right before it does anything: what is denied touches neither files nor state."""

from typing import Any, NoReturn

import pytest

from tilth.core.errors import RightError
from tilth.core.principals import Role, person, token
from tilth.kinds import KINDS, declares, parse_one
from tilth.plan.rights import RIGHTS, STATEMENTS, Right
from tilth.ports.progress import Silent
from tilth.runtime.asking import acting, session
from tilth.runtime.asking.session import Session

TEXTS = (
    "SELECT 1",
    "PLAN",
    "EXPLAIN PREDICT late (a = 1)",
    "CREATE SOURCE s ENGINE files WITH (path = 'x')",
    "DROP MODEL m",
    "APPLY",
    "PROMOTE ENVIRONMENT dev TO prod",
    "ROLLBACK ENVIRONMENT prod",
    "REFRESH DATASET d",
    "RETRAIN MODEL m",
    "DRILL MODEL m (drift)",
    "CREATE TOKEN 'ci' FOR predictor",
    "DROP TOKEN 'ci'",
)


class _Touched(Exception):
    """The session went on to do it."""


class _Nothing:
    """A workspace that may not be touched."""

    def __getattr__(self, name: str) -> NoReturn:
        raise _Touched(name)


def _touch(*_given: Any) -> NoReturn:
    raise _Touched


def _session(role: Role) -> Session:
    work: Any = _Nothing()
    return Session(work, "prod", token("t", role), _touch, _touch, _touch, Silent())


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("text", TEXTS)
def test_what_a_principal_may_not_do_is_not_begun(text: str, role: Role) -> None:
    statement = parse_one(text)
    right = Right.DECLARE if declares(statement) else STATEMENTS[type(statement)]
    expected = _Touched if right in RIGHTS[role] else RightError
    with pytest.raises(expected):
        _session(role).run(text)


def test_every_statement_has_one_function() -> None:
    performed = [*session.ASKS, *session.OWN, *acting.ACTS]
    assert len(performed) == len(set(performed))
    assert set(performed) == set(STATEMENTS)
    assert not set(performed) & {k.statement for k in KINDS}


def test_a_person_is_an_owner() -> None:
    assert person("anna").role is Role.OWNER

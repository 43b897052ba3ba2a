"""Every statement has one right, every role a set of them, and what stands in no table is denied."""

from typing import get_args

import pytest

from tilth.core.errors import RightError
from tilth.core.principals import Principal, PrincipalKind, Role, job, person, reconciler, token
from tilth.kinds import KINDS, declares, parse_one
from tilth.plan.rights import RIGHTS, STATEMENTS, Right, allowed, may, require
from tilth.sql.language.acts import Statement
from tilth.sql.language.statements import Declaration

MAY = {
    "SELECT 1": "owner reader",
    "PLAN": "owner reader",
    "EXPLAIN PREDICT late (a = 1)": "owner predictor",
    "CREATE SOURCE s ENGINE files WITH (path = 'x')": "owner",
    "CREATE DATASET d AS SELECT 1 AS a": "owner",
    "CREATE MODEL m PREDICT y FROM d": "owner",
    "CREATE ENDPOINT e FOR MODEL m": "owner",
    "CREATE CHANNEL c WITH (url = 'https://x/', key = SECRET 'env:K') NOTIFY ON (failed)": "owner",
    "CREATE VIEW v AS SELECT 1": "owner",
    "CREATE JOB j AS (SELECT 1)": "owner",
    "CREATE TRIGGER g ON s.t AS (SELECT 1)": "owner",
    "RUN JOB j": "owner",
    "CANCEL RUN '3'": "owner",
    "CANCEL STATEMENT '3f2a'": "owner reader",
    "SET statement_timeout = '3 s'": "owner reader",
    "RESET ALL": "owner reader",
    "USE dev": "owner reader",
    "SHOW ALL": "owner reader",
    "EXPLAIN SELECT 1": "owner reader",
    "EXPLAIN DATASET d FOR MODEL m": "owner reader",
    "DROP MODEL m": "owner",
    "ALTER MODEL m SET (seed = 8)": "owner",
    "APPLY": "owner",
    "PROMOTE ENVIRONMENT dev TO prod": "owner",
    "PROMOTE MODEL m VERSION 2": "owner",
    "LOOK AT MODEL m": "owner reader",
    "CREATE TOKEN 'ci' FOR owner": "owner",
    "DROP TOKEN 'ci'": "owner",
    "DESCRIBE m": "owner reader",
    "SHOW MODELS": "owner reader",
    "SUMMARIZE d": "owner reader",
    "ROLLBACK ENVIRONMENT prod": "owner",
    "REFRESH DATASET d": "owner",
    "RETRAIN MODEL m": "owner",
    "EVALUATE mae FROM (SELECT 1 AS actual, 2 AS prediction)": "owner reader",
    "USE mindsdb": "owner reader",
    "DRILL MODEL m (drift)": "owner",
    "FORGET FROM d WHERE a = 1": "owner",
    "RELEASE QUARANTINE d WHERE a = 1 BECAUSE 'b'": "owner",
    "HOLD QUARANTINE d WHERE a = 1 BECAUSE 'b'": "owner",
    "CREATE TABLE s.t AS SELECT 1": "owner",
    "INSERT INTO s.t SELECT 1": "owner",
}


DECLARING = {k.statement for k in KINDS.rows}


def _leaves(kind: object) -> set[type]:
    return {leaf for part in get_args(kind) for leaf in _leaves(part)} or {kind}  # type: ignore[arg-type]


def test_the_table_names_exactly_the_statements_that_there_are() -> None:
    assert set(STATEMENTS) == _leaves(Statement) - {Declaration}
    assert {type(parse_one(text)) for text in MAY} == set(STATEMENTS) | DECLARING


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("text", MAY)
def test_who_may_perform_what(text: str, role: Role) -> None:
    by, statement = token("ci", role), parse_one(text)
    if role.value in MAY[text].split():
        allowed(by, statement, declares=declares(statement))
    else:
        with pytest.raises(RightError, match=f"token:ci is a {role.value}") as raised:
            allowed(by, statement, declares=declares(statement))
        assert (raised.value.code, raised.value.http_status, raised.value.sqlstate) == (
            "E-RIGHT",
            403,
            "42501",
        )


def test_every_role_has_its_rights_and_what_no_table_names_is_denied() -> None:
    assert set(RIGHTS) == set(Role)
    assert RIGHTS[Role.OWNER] == frozenset(Right)
    assert all(may(by, right) for by in (person("anna"), job("serve"), reconciler("prod")) for right in Right)
    with pytest.raises(RightError, match="no right is declared"):
        allowed(person("anna"), object(), declares=False)
    with pytest.raises(RightError, match=r"POST /x needs the right to predict.*reader"):
        require(token("t", Role.READER), Right.PREDICT, "POST /x")


def test_a_principal_is_named_by_kind_and_name() -> None:
    texts = [p.text for p in (person("anna"), token("ci"), job("serve"), reconciler("prod"))]
    assert texts == ["person:anna", "token:ci", "job:serve", "reconciler:prod"]
    assert {t.partition(":")[0] for t in texts} == {k.value for k in PrincipalKind}
    assert Principal(PrincipalKind.TOKEN, "ci", Role.READER).text == "token:ci"

"""Which statements with a KEY are done again after a failure: those whose rows do not change by being written."""

import pytest

from tilth.kinds import parse_one
from tilth.kinds.statements import once

P = "FROM (SELECT id, v FROM o.s) AS p WHERE t.id = p.id"
AGAIN = [
    f"UPDATE s.t SET v = p.v {P}",
    f"UPDATE s.t SET v = v2 {P.replace('v FROM', 'v AS v2 FROM')}",
    f"UPDATE s.t SET v = p.v + 1, w = 'x' {P} AND t.v < p.v",
    "INSERT INTO s.t KEY (id) SELECT id, v FROM o.s",
    "INSERT INTO s.t KEY (id) SELECT t.id, v FROM o.t",
    "REFRESH DATASET d",
    "CREATE OR REPLACE TABLE s.t AS SELECT * FROM s.t",
]
ONCE = [
    "INSERT INTO s.t SELECT id, v FROM o.s",
    f"UPDATE s.t SET v = t.v + 1 {P}",
    f"UPDATE s.t SET v = V + 1 {P.replace(', v', '')}",
    f"UPDATE s.t SET v = w {P}",
    "UPDATE s.t SET v = p.v FROM (SELECT id, v + 1 AS v FROM s.t) AS p WHERE t.id = p.id",
    f"UPDATE s.t SET v = (SELECT max(v) FROM o.s) {P}",
    "INSERT INTO s.t KEY (id) SELECT id, v + 1 FROM s.T",
    "INSERT INTO s.t KEY (id) SELECT id, v FROM o.s WHERE id NOT IN (SELECT id FROM s.t)",
    "INSERT INTO s.t KEY (id) SELECT * FROM s.t JOIN o.s USING (id)",
]


@pytest.mark.parametrize(("text", "expected"), [*((t, False) for t in AGAIN), *((t, True) for t in ONCE)])
def test_what_may_be_done_twice(text: str, expected: bool) -> None:
    assert once(parse_one(text)) is expected

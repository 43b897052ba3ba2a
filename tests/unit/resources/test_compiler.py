"""What the compiler refuses, with its place, and what does not make a recipe new."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.core.engines import Engine, Form, Option
from tilth.core.errors import TilthError
from tilth.kinds import (
    compile,  # noqa: A004
    parse,
)
from tilth.resources.facts import Facts
from tilth.resources.graph import Graph
from tilth.sql.language.statements import Kind

ENGINES = (
    Engine("lightgbm", options=(Option("rounds", Form.WHOLE, 1), Option("extra_trees", Form.SWITCH)), rank=2),
    Engine("linear", options=(Option("ridge", least=0),), rank=1),
    Engine("sklearn", "scikit-learn", options=None, prefixes=("estimator",), estimator=True),
    Engine("broken", fault="The learning engine `broken` of the package x does not load.", mend="Mend x."),
)
FACTS = Facts(
    ENGINES,
    {"mine:make": "abc"},
    ("files", "postgres", "sqlite"),
)


def compiled(text: str, facts: Facts = FACTS) -> Graph:
    return compile(parse(text, "all.sql"), facts)


BASE = "CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');\nCREATE DATASET d EVENT TIME t AS SELECT * FROM ops.t;\n"

REFUSED = [
    ("CREATE MODEL m PREDICT y FROM dd", "There is no dataset `dd`", "3:31", "Did you mean `d`?"),
    ("CREATE MODEL m PREDICT y FROM ops", "`ops` is a source, not a dataset", "3:31", "Write the table too"),
    ("CREATE MODEL m PREDICT y FROM (SELECT *\nFROM op.t)", "There is no source `op`", "4:6", "`ops`"),
    ("CREATE MODEL m PREDICT y FROM (SELECT a FORM d)", "cannot be read", "3:46", "instead of `FORM`"),
    ("CREATE MODEL m PREDICT y FROM op (native)", "There is no source `op`", "3:35", "`ops`"),
    ("CREATE DATASET e AS SELECT *\n FROM ops.t, tt", "There is no dataset `tt`", "4:14", "Datasets: d."),
    ("CREATE DATASET e AS FROM tilth.audit", "There is no source `tilth`", "3:26", "be asked, but not"),
    ("CREATE DATASET e EXPECT (REFERENCES op.t (a)) AS FROM d", "There is no source `op`", "3:26", "`ops`"),
    ("CREATE DATASET e EXPECT (count(*) > 1 ON FAIL QUARANTINE) AS FROM d", "Only rows", "3:26", "STOP"),
    (
        "CREATE DATASET e EXPECT (n > 1, a BETWEN 1 AND 2) AS FROM d",
        "cannot be read",
        "3:42",
        "instead of `BETWEN`",
    ),
    ("CREATE DATASET e EXPECT (FRESH WITHIN '1 day') AS FROM d", "has no EVENT TIME", "3:26", "EVENT TIME"),
    (
        "CREATE DATASET e REFRESH INCREMENTAL AS FROM d",
        "INCREMENTAL but has no EVENT TIME",
        "3:1",
        "EVENT TIME",
    ),
    ("CREATE ENDPOINT e FOR MODEL d", "`d` is a dataset, not a model", "3:1", "Models: none"),
    (
        "CREATE ENDPOINT e FOR MODEL m REPLICAS 2;CREATE MODEL m PREDICT y FROM d",
        "several replicas",
        "3:1",
        "Leave out",
    ),
    (
        "CREATE ENDPOINT e FOR MODEL m REGIONS ('a','b');CREATE MODEL m PREDICT y FROM d",
        "several regions",
        "3:1",
        "Leave out",
    ),
    ("CREATE SOURCE s ENGINE sqllite", "no engine of sources called `sqllite`", "3:1", "`sqlite`"),
    (
        "CREATE SOURCE d ENGINE sqlite",
        "declared twice: as a dataset at all.sql:2:1",
        "3:1",
        "rename or remove",
    ),
    ('CREATE SOURCE "My Source" ENGINE sqlite', "cannot be the name of a resource", "3:1", "my_source"),
    ("CREATE SOURCE tilth ENGINE sqlite", "is a name of the system", "3:1", "my_tilth"),
    ("DROP MODEL m", "only declares", "3:1", "delete its CREATE statement"),
    ("PLAN", "only declares", "", "Keep CREATE statements"),
    ("CREATE MODEL m PREDICT y FROM d FEATURES (a, Y)", "cannot be a feature too", "3:42", "out of FEATURES"),
    ("CREATE MODEL m PREDICT y, Y FROM d", "the same column twice", "3:27", "Keep one"),
    (
        "CREATE MODEL m PREDICT y, z AS y FROM d",
        "Two predictions of model `m` are called `y`",
        "3:27",
        "z AS y_2",
    ),
    (
        "CREATE MODEL m PREDICT y, z FROM d FEATURES (a, Z)",
        "cannot be a feature too",
        "3:45",
        "out of FEATURES",
    ),
    (
        "CREATE MODEL m PREDICT y, z FROM d USING (retrain = 'warm')",
        "goes on from a model of one",
        "3:1",
        "one CREATE MODEL for each: y, z",
    ),
    (
        "CREATE MODEL m PREDICT y, z FROM d OBJECTIVE (minimum = 0.7)",
        "minimum = 0.7 is of one metric",
        "3:1",
        "minimum = {y: 0.7}",
    ),
    (
        "CREATE MODEL m PREDICT y, z FROM d PROMOTE IF not_worse_by(0.01)",
        "not_worse_by(0.01) is of one metric",
        "3:1",
        "not_worse_by(0)",
    ),
    (
        "CREATE MODEL m PREDICT y, z FROM d RETRAIN WHEN quality < 0.7",
        "RETRAIN WHEN quality is of one metric",
        "3:1",
        "one metric that fits all",
    ),
    (
        "CREATE MODEL m PREDICT y, z FROM d OBJECTIVE (metric = {y: 'roc_auc', x: 'rmse'})",
        "`metric` names `x`",
        "3:1",
        "y, z",
    ),
    (
        "CREATE MODEL m PREDICT y, z FROM d OBJECTIVE (metric = {y: 'roc_acu'})",
        "no metric called `roc_acu`",
        "3:1",
        "`roc_auc`",
    ),
    (
        "CREATE MODEL m PREDICT y, z FROM d OBJECTIVE (metric = {z: 'neg_mean_squared_error'}, minimum = {z: -1})",
        "`neg_mean_squared_error` is mean_squared_error here",
        "3:1",
        "minimum = 1",
    ),
    (
        "CREATE MODEL m PREDICT y, z FROM d;CREATE ENDPOINT e FOR MODEL m OUTCOMES FROM d (id, truth)",
        "names no target of model `m`",
        "3:36",
        "OUTCOMES FROM d (key, y, z)",
    ),
    (
        "CREATE MODEL m PREDICT y, z FROM d;CREATE ENDPOINT e FOR MODEL m OUTCOMES FROM d (y, z)",
        "names no key of model `m`",
        "3:36",
        "OUTCOMES FROM d (key, y, z)",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d OBJECTIVE (metric = 'pinball_0.9') USING (engine = 'linear')",
        "learns no quantiles",
        "3:1",
        "or engine = 'auto'",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d OBJECTIVE (metric = 'pinball_1')",
        "no metric called `pinball_1`",
        "3:1",
        "Metrics: ",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d OBJECTIVE (metrik = 'r2')",
        "not an option of OBJECTIVE",
        "3:1",
        "`metric`",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d OBJECTIVE (metric = 'auc')",
        "no metric called `auc`",
        "3:1",
        "roc_auc",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d OBJECTIVE (metric = 'neg_log_loss', minimum = -0.3)",
        "`neg_log_loss` is log_loss here",
        "3:1",
        "metric = 'log_loss', minimum = 0.3",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d OBJECTIVE (minimum = 'x')",
        "does not fit `minimum`",
        "3:1",
        "minimum = 0.7",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d OBJECTIVE (label_delay = '1 dy')",
        "does not fit `label_delay`",
        "3:1",
        "'1 day'",
    ),
    ("CREATE MODEL m PREDICT y FROM d USING (enginee = 'auto')", "not an option of USING", "3:1", "`engine`"),
    (
        "CREATE MODEL m PREDICT y FROM d USING (engine = 'lightgmb')",
        "no engine of models",
        "3:1",
        "`lightgbm`",
    ),
    ("CREATE MODEL m PREDICT y FROM d USING (lightgmb.x = 1)", "no engine `lightgmb`", "3:1", "`lightgbm`"),
    (
        "CREATE MODEL m PREDICT y FROM d USING (lightgbm.runds = 9)",
        "has no option `runds`",
        "3:1",
        "`rounds`",
    ),
    ("CREATE MODEL m PREDICT y FROM d USING (linear.rige = 9)", "`linear` has no option", "3:1", "ridge"),
    (
        "CREATE MODEL m PREDICT y FROM d USING (engine = 'lightgbm', lightgbm.rounds = 0)",
        "0 does not fit `lightgbm.rounds` of USING",
        "3:1",
        "a whole number of at least 1",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d USING (lightgbm.extra_trees = 1)",
        "does not fit",
        "3:1",
        "true or false",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d USING (engine = 'broken')",
        "`broken` of the package x",
        "3:1",
        "Mend x.",
    ),
    ("CREATE MODEL m PREDICT y FROM d USING (seed = -1)", "does not fit `seed`", "3:1", "seed = 7"),
    ("CREATE MODEL m PREDICT y FROM d USING (seed = TRUE)", "does not fit `seed`", "3:1", "seed = 7"),
    ("CREATE MODEL m PREDICT y FROM d USING (memory = 4)", "does not fit `memory`", "3:1", "'4 GB'"),
    (
        "CREATE MODEL m PREDICT y FROM d USING (engine = 'sklearn')",
        "which estimator",
        "3:1",
        "module:function",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d USING (estimator = 'a:b')",
        "only the engine `sklearn`",
        "3:1",
        "sklearn",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d USING (engine = 'sklearn', estimator = 'os.system')",
        "fit `estimator`",
        "3:1",
        "module:function",
    ),
    ("CREATE MODEL m PREDICT y FROM d HORIZON 4", "which column is the time", "3:1", "ORDER BY"),
    ("CREATE MODEL m PREDICT y FROM d ORDER BY t", "no HORIZON", "3:1", "row by row"),
    ("CREATE MODEL m PREDICT y FROM d GROUP BY g", "no HORIZON", "3:1", "row by row"),
    ("CREATE MODEL m PREDICT y FROM d WINDOW 8", "no HORIZON", "3:1", "row by row"),
    ("CREATE MODEL m PREDICT y FROM d ORDER BY t, u HORIZON 4", "ordered by 2 columns", "3:1", "GROUP BY"),
    ("CREATE MODEL m PREDICT y FROM d ORDER BY t HORIZON 20000", "more than 10,000 steps", "3:1", "coarser"),
    (
        "CREATE MODEL m PREDICT y FROM d ORDER BY t HORIZON 4 FEATURES (a)",
        "takes no FEATURES",
        "3:1",
        "known = ['column']",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d ORDER BY t HORIZON 4 GROUP KEY (a)",
        "takes no GROUP KEY",
        "3:1",
        "GROUP BY",
    ),
    (
        "CREATE MODEL m PREDICT y POSITIVE 1 FROM d ORDER BY t HORIZON 4",
        "takes no POSITIVE",
        "3:1",
        "numbers",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d ORDER BY t GROUP BY t HORIZON 4",
        "the time and a group",
        "3:1",
        "one part",
    ),
    ("CREATE MODEL m PREDICT y FROM d ORDER BY y HORIZON 4", "the time and predicted", "3:1", "one part"),
    (
        "CREATE MODEL m PREDICT y AS t FROM d ORDER BY t HORIZON 4",
        "Two columns that model `m` gives",
        "3:1",
        "another name",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d ORDER BY t HORIZON 4 OBJECTIVE (metric = 'roc_auc')",
        "no metric of forecasts",
        "3:1",
        "mase",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d ORDER BY t HORIZON 4 OBJECTIVE (minimum = -1)",
        "never below 0",
        "3:1",
        "greatest",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d ORDER BY t HORIZON 4 OBJECTIVE (weight = 'a')",
        "row by row",
        "3:1",
        "Leave it out",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d ORDER BY t HORIZON 4 USING (search = 'on')",
        "row by row",
        "3:1",
        "step",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d ORDER BY t HORIZON 4 USING (stepp = '1 day')",
        "`stepp`",
        "3:1",
        "`step`",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d ORDER BY t HORIZON 4 USING (gaps = 'no')",
        "fit `gaps`",
        "3:1",
        "'zero'",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d ORDER BY t HORIZON 4 USING (seasons = [1])",
        "fit `seasons`",
        "3:1",
        "365",
    ),
    (
        "CREATE MODEL m PREDICT y FROM d ORDER BY t HORIZON 4 USING (engine = 'linear')",
        "fit `engine`",
        "3:1",
        "members",
    ),
    ("CREATE MODEL m PREDICT y FROM d USING (step = '1 day')", "of models that forecast", "3:1", "HORIZON n"),
    (
        "CREATE MODEL m PREDICT y FROM d OBJECTIVE (metric = 'mase')",
        "of models that forecast",
        "3:1",
        "HORIZON n",
    ),
]


@pytest.mark.parametrize(("text", "says", "where", "hint"), REFUSED, ids=[r[0][:60] for r in REFUSED])
def test_what_does_not_fit_is_refused_at_its_place(text: str, says: str, where: str, hint: str) -> None:
    with pytest.raises(TilthError) as caught:
        compiled(BASE + text)
    error = caught.value
    assert says in error.message
    assert hint in (error.hint or "")
    if where:
        assert str(error.where) == f"all.sql:{where}"


@pytest.mark.parametrize("option", ["password = 'hunter2'", "url = 'postgresql://me:hunter2@db/x'"])
def test_a_secret_in_the_text_is_refused_and_not_shown(option: str) -> None:
    with pytest.raises(TilthError) as caught:
        compiled(f"CREATE SOURCE ops ENGINE postgres WITH ({option})")
    assert "SECRET 'env:OPS_PASSWORD'" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "option",
    ["auth = 'Bearer hunter2'", "headers = {'X-Api-Key': 'hunter2'}", "headers = {Authorization: 'hunter2'}"],
)
def test_a_secret_of_a_request_is_a_reference(option: str) -> None:
    with pytest.raises(TilthError, match="holds a secret in its text") as caught:
        compiled(f"CREATE SOURCE ops ENGINE postgres WITH (url = 'x', {option})")
    assert "SECRET 'env:OPS_" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    compiled(
        "CREATE SOURCE ops ENGINE postgres WITH (headers = {'X-Api-Key': SECRET 'env:K', Accept: 'text/csv'})"
    )


PROJECT = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE DATASET d KEY (id) EVENT TIME t EXPECT (x > 1 ON FAIL WARN, count(*) > 5) AS SELECT * FROM ops.t;
CREATE DATASET e AS SELECT id, count(*) AS n FROM d GROUP BY id;
CREATE MODEL m PREDICT y FROM d FEATURES (* EXCEPT (a, b)) OBJECTIVE (metric = 'r2', label_delay = '1 day')
  USING (engine = 'sklearn', estimator = 'mine:make', estimator.depth = 3, time_limit = '1 minute');
CREATE MODEL n PREDICT n FROM (SELECT * FROM e WHERE n > 1);
CREATE ENDPOINT api FOR MODEL m ROLLOUT (shadow = '10 requests') OUTCOMES FROM d (id, y);
"""


def recipes(text: str, facts: Facts = FACTS) -> dict[str, str]:
    return {r.name: r.recipe for r in compiled(text, facts)}


CHANGES = [
    (
        "case of keywords and functions",
        "SELECT id, count(*) AS n FROM d GROUP BY id",
        "select id, COUNT(*) as n from d group by id",
        "",
    ),
    (
        "order of options",
        "metric = 'r2', label_delay = '1 day'",
        "label_delay = '24 hours', metric = 'r2'",
        "",
    ),
    ("order of exceptions", "EXCEPT (a, b)", "EXCLUDE (B, a)", ""),
    ("a default written out", "'1 minute'", "'60 s', seed = 7", ""),
    ("memory and threads", "'1 minute'", "'1 minute', memory = '1 GB', threads = 1", ""),
    ("tags and refresh", "EVENT TIME t", "TAG (x = 'pii') EVENT TIME t REFRESH ON CHANGE", ""),
    ("a source on another host", "'ops.db'", "'other.db'", "ops"),
    ("how a source reads its tables", "'ops.db'", "'ops.db', misfits = 'null'", "ops d e m n"),
    (
        "how it reads this table",
        "'ops.db'",
        "'ops.db', tables = {T: {types: {id: 'VARCHAR'}}}",
        "ops d e m n",
    ),
    ("how it reads another table", "'ops.db'", "'ops.db', tables = {u: {misfits: 'null'}}", "ops"),
    ("a source of another engine", "ENGINE sqlite", "ENGINE postgres", "ops d e m n"),
    ("an upstream query", "SELECT * FROM ops.t", "SELECT *, 1 AS one FROM ops.t", "d e m n"),
    ("what a check does", "ON FAIL WARN", "ON FAIL STOP", "d e m n"),
    ("a literal in a model's own query", "n > 1", "n > 2", "n"),
    ("an estimator's parameter", "depth = 3", "depth = 4", "m"),
    ("a model's features", "EXCEPT (a, b)", "EXCEPT (a)", "m"),
    ("a target's alias", "PREDICT y", "PREDICT y AS z", "m"),
    ("a rollout", "'10 requests'", "'20 requests'", "api"),
    ("a limit to disagreement", "'10 requests'", "'10 requests', max_disagreement = '5%'", "api"),
    ("a deadline", "'10 requests'", "'10 requests', deadline = '1 day'", "api"),
    ("a key that is required", "(id, y);", "(id, y) REQUIRE KEY;", "api"),
]


@pytest.mark.parametrize(("old", "new", "moved"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_recipes_move_exactly_with_what_would_be_made(old: str, new: str, moved: str) -> None:
    assert old in PROJECT
    before, after = recipes(PROJECT), recipes(PROJECT.replace(old, new))
    assert {n for n in before if before[n] != after[n]} == set(moved.split())


def test_an_endpoint_that_says_nothing_new_keeps_the_name_it_had() -> None:
    assert recipes(PROJECT)["api"] == "1:82c0ff63e1b25b08e18ee841cf01ec42"


@pytest.mark.parametrize(
    ("rollout", "says"),
    [
        ("deadline = '1 day'", "its rollout deadline, and no stage"),
        ("max_disagreement = '5%'", "its rollout max_disagreement, and no stage"),
        ("shadow = '0 requests', max_disagreement = 0, deadline = '1 day'", "max_disagreement and deadline, and no stage"),
        ("shadow = '5 requests', deadline = '0 days'", "'0 days' is not a duration"),
    ],
)  # fmt: skip
def test_a_limit_that_no_stage_could_meet_is_refused(rollout: str, says: str) -> None:
    with pytest.raises(TilthError, match=says):
        compiled(PROJECT.replace("shadow = '10 requests'", rollout))


def test_own_code_is_part_of_a_model() -> None:
    before = recipes(PROJECT)
    code = recipes(PROJECT, Facts(FACTS.engines, {"mine:make": "other"}, FACTS.sources))
    assert {n for n in before if before[n] != code[n]} == {"m"}


def test_what_recipe_1_called_a_model_is_known_and_other_kinds_keep_their_names() -> None:
    """As the version before made them: its engines were those of the lock, its code was hashed in another way."""
    old = {"mine:make": "old"}
    found = {
        r.name: r
        for r in compile(parse(PROJECT, "all.sql"), Facts(FACTS.engines, FACTS.code, FACTS.sources, old))
    }
    assert {r.recipe[:2] for r in found.values() if r.kind is not Kind.MODEL} == {"1:"}
    models = [r for r in found.values() if r.kind is Kind.MODEL]
    assert all(r.recipe[:2] == "2:" and [e[:2] for e in r.earlier] == ["1:"] for r in models)
    other = {r.name: r for r in compile(parse(PROJECT, "all.sql"), FACTS)}
    assert other["m"].recipe == found["m"].recipe
    assert other["m"].earlier != found["m"].earlier


MOVES_NOTHING = ["OBJECTIVE (metric = 'r2', confidence = 0.99)"]
MOVES = ["PREDICT y POSITIVE 'a'", "ACCEPT LEAK (a) BECAUSE 'known'"]


@pytest.mark.parametrize("clause", [*MOVES_NOTHING, *MOVES])
def test_how_a_model_is_judged_is_no_part_of_it_and_what_it_may_know_is(clause: str) -> None:
    plain = (
        "CREATE SOURCE s ENGINE files WITH (path = 'd'); CREATE MODEL m PREDICT y FROM (SELECT * FROM s.t)"
    )
    base = recipes(plain + " OBJECTIVE (metric = 'r2')" if "OBJECTIVE" in clause else plain)
    with_it = plain.replace("PREDICT y", clause) if "PREDICT" in clause else f"{plain} {clause}"
    assert (recipes(with_it) == base) == (clause in MOVES_NOTHING)


CLAUSES = [
    "PREDICT y",
    "FROM d",
    "FEATURES (* EXCEPT (a, b))",
    "OBJECTIVE (metric = 'r2')",
    "USING (seed = 3)",
    "RETRAIN WHEN drift > 0.2",
    "PROMOTE IF manual",
]


@settings(max_examples=40, deadline=None)
@given(st.permutations(CLAUSES), st.permutations(BASE.strip().split("\n")))
def test_the_order_of_clauses_and_statements_is_no_part_of_a_recipe(
    clauses: list[str], base: list[str]
) -> None:
    model = f"CREATE MODEL m {' '.join(clauses)};"
    assert compiled(model + "\n".join(base)) == compiled(BASE + f"CREATE MODEL m {' '.join(CLAUSES)};")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), st.integers(0, 999))
def test_another_literal_is_another_recipe(one: int, two: int) -> None:
    found = [recipes(f"CREATE DATASET d AS SELECT {n} AS a")["d"] for n in (one, two)]
    assert (found[0] == found[1]) is (one == two)


def test_dependencies_are_told_with_tables() -> None:
    graph = compiled(
        "CREATE SOURCE ops ENGINE sqlite; CREATE SOURCE wx ENGINE files;"
        "CREATE DATASET d EXPECT (REFERENCES wx.planes (id)) AS WITH x AS (FROM OPS.t) FROM x, x y, ops.main.u;"
        "CREATE MODEL m PREDICT y FROM (SELECT * FROM D JOIN wx.w);"
        "CREATE MODEL n PREDICT y FROM ops (SELECT 1);"
    )
    assert graph.get("d").depends == ("ops", "wx")
    assert [(t.source, t.table) for t in graph.get("d").tables] == [("ops", "main.u"), ("ops", "t")]
    assert graph.get("m").depends == ("d", "wx")
    assert graph.get("n").depends == ("ops",)
    assert graph.get("m").text.startswith("CREATE MODEL m\n  PREDICT y")


def test_unknown_facts_are_not_held_against_a_project() -> None:
    graph = compiled(
        "CREATE SOURCE s ENGINE exotic; CREATE MODEL m PREDICT y FROM s (q) USING engine = 'own', own.x = 1",
        Facts(),
    )
    assert [r.name for r in graph] == ["s", "m"]


def test_two_hundred_resources_compile() -> None:
    text = BASE + "".join(
        f"CREATE DATASET d{i} KEY (id) EVENT TIME t EXPECT (x > {i} ON FAIL QUARANTINE, count(*) > 5) AS "
        f"SELECT f.id, f.t, CASE WHEN f.x > {i} THEN 1 ELSE 0 END AS y FROM ops.t f JOIN d ON d.id = f.id;"
        f"CREATE MODEL m{i} PREDICT y FROM d{i} USING (seed = {i}); CREATE ENDPOINT e{i} FOR MODEL m{i};"
        for i in range(66)
    )
    statements = parse(text)
    graph = compile(statements, FACTS)
    assert len(graph) == 200
    assert len({r.recipe for r in graph}) == 200


def test_the_order_of_what_is_said_of_tables_changes_nothing() -> None:
    one = PROJECT.replace(
        "'ops.db'", "'ops.db', tables = {t: {types: {id: 'VARCHAR', x: 'DOUBLE'}, misfits: 'null'}}"
    )
    two = PROJECT.replace(
        "'ops.db'", "'ops.db', tables = {t: {misfits: 'null', types: {x: 'DOUBLE', id: 'VARCHAR'}}}"
    )
    assert {n: r for n, r in recipes(one).items() if n != "ops"} == {
        n: r for n, r in recipes(two).items() if n != "ops"
    }

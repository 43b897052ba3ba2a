"""What is read of an MLmodel, and of the texts of categories in a LightGBM file: as MLflow and pandas write them, and nothing else."""

import pytest

from tilth.adapters.learners.adopted import lightgbm
from tilth.core.errors import TamperError, UnsupportedError
from tilth.ml.importing.flavors import found
from tilth.ml.importing.mlmodel import DEEPEST, MOST_BYTES, read

READ = {
    "a: 1\n": {"a": "1"},
    "# c\n\na: x y\n": {"a": "x y"},
    "a:\n  b: 'it''s'\n  c:\n    d: e\nf: g\n": {"a": {"b": "it's", "c": {"d": "e"}}, "f": "g"},
    "a:\n- b\n- 'c d'\ne: f\n": {"a": ["b", "c d"], "e": "f"},
    "a: 'one\n  two''\n\n  three'\nb: c\n": {"a": "one two' three", "b": "c"},
    'a: "x\\\n  \\ y \\"z\\""\n': {"a": 'x y "z"'},
    "a: one\n  two\nb: c\n": {"a": "one two", "b": "c"},
    "a:\nb: c\n": {"a": "", "b": "c"},
}
STRANGE = {
    "a: !!python/object/apply:os.system x\n": "Line 1",
    "a: &x b\nc: *x\n": "Line 1",
    "a: |\n  x\n": "Line 1",
    "a: 1\na: 2\n": "Line 2",
    "a: 1\n  b: 2\nc\n": "Line 3",
    "  a: 1\n": "Line 1",
    "a: 'x\n": "has no end",
    'a: "\\q"\n': "an escape",
    "- a\n": "no mapping",
    "".join(f"{' ' * n}a:\n" for n in range(DEEPEST + 3)): "nested too deep",
    "a: 'b\n" * 50_000: "",
    "a" * (MOST_BYTES + 1): "larger than",
}


@pytest.mark.parametrize("text", READ)
def test_it_is_read(text: str) -> None:
    assert read(text.encode()) == READ[text]


@pytest.mark.parametrize("text", STRANGE, ids=lambda t: repr(t[:30]))
def test_what_else_yaml_knows_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedError) as error:
        read(text.encode())
    assert STRANGE[text] in error.value.message


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="UTF-8"):
        read(b"a: \xff\n")


@pytest.mark.parametrize("inputs", ["", "null", "[", "[1]", '[{"type": "tensor"}]', "{}"])
def test_a_signature_without_names_gives_none(inputs: str) -> None:
    said = {"flavors": {"lightgbm": {"data": "m"}}, "signature": {"inputs": inputs}}
    assert found(said).inputs == ()


HEAD = "tree\nversion=v4\nobjective=binary sigmoid:1\nfeature_names=a b\nfeature_infos={infos}\n\nTree=0\n\nend of trees\n\n"


@pytest.mark.parametrize(
    ("infos", "listed", "levels"),
    [
        ("[0:1] 0:1:2", '[["x", "y", "z"]]', {1: ("x", "y", "z")}),
        ("0:1 1:0", '[["x", "y"], ["u", "v"]]', {0: ("x", "y"), 1: ("u", "v")}),
        ("[0:1] none", "null", {}),
        ("[0:1] [2:3]", "", {}),
    ],
)
def test_codes_have_the_texts_that_pandas_gave_them(
    infos: str, listed: str, levels: dict[int, tuple[str, ...]]
) -> None:
    tail = f"parameters:\nend of parameters\n\npandas_categorical:{listed}\n" if listed else ""
    model = lightgbm((HEAD.format(infos=infos) + tail).encode(), {})
    assert (model.kind, model.columns, model.levels) == ("binary", ("a", "b"), levels)


@pytest.mark.parametrize(
    ("infos", "listed", "error"),
    [
        ("[0:1] 0:1:2", "null", UnsupportedError),
        ("[0:1] 0:1:2", "[[1, 2, 3]]", UnsupportedError),
        ("[0:1] none", '[["x"]]', UnsupportedError),
        ("[0:1] 0:1:2", "[[", TamperError),
    ],
)
def test_codes_without_texts_are_refused(infos: str, listed: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        lightgbm((HEAD.format(infos=infos) + f"\npandas_categorical:{listed}\n").encode(), {})

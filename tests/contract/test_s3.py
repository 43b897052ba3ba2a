"""Files in a bucket: what is a table, and what happens when the bucket changes, cuts bodies off, or is not what it is said to be."""

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import buckets
import sites
from tilth.adapters.sources.remote import copies
from tilth.adapters.sources.s3.bucket import Bucket
from tilth.adapters.sources.s3.source import S3Source
from tilth.core.errors import ProjectError, SourceError, TilthError, UnknownNameError, UnsupportedError
from tilth.core.scan import Scan


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "PAUSE", 0.01)


@pytest.fixture(scope="module")
def bucket() -> str:
    name = buckets.new()
    for key, body in {
        "d/a.csv": "x\n1\n", "d/sp ace.csv": "x\n2\n", "d/ü%20#?&+.csv": "x\n3\n", "d/readme.txt": "hello",
        "d/w/2.csv": "x\n5\n", "d/w/1.csv": "x,y\n4,a\n", "d/w/_SUCCESS": "", "d/deep/er/z.csv": "x\n6\n",
        "d/mixed/a.csv": "x\n1\n", "d/mixed/b.jsonl": '{"x": 1}', "d/bad.csv": "id;n\n" + "1;a\n" * 300 + "x;b\n",
        "one.csv": "x\n7\n", "d/":"",
    }.items():  # fmt: skip
        buckets.put(name, key, body.encode())
    buckets.put(name, "d/u16.csv", "x;ü\n1;é\n".encode("utf-16"))
    buckets.put(name, "d/enc.csv", gzip.compress(b"x\n8\n"), ContentEncoding="gzip")
    buckets.put(name, "d/cut.csv.gz", gzip.compress(b"x\n" + os.urandom(9000).hex().encode())[:-40])
    return name


def made(name: str, root: Path, **more: Any) -> Any:
    return S3Source.from_options({**buckets.options(name), "path": "d", **more}, str(root))


def rows(source: Any, table: str) -> list[dict[str, Any]]:
    return source.scan(Scan(table)).read_all().to_pylist()


def test_objects_are_tables_by_the_rules_of_files(bucket: str, tmp_path: Path) -> None:
    source = made(bucket, tmp_path)
    assert source.tables() == ("a", "bad", "cut", "enc", "mixed", "sp ace", "u16", "w", "ü%20#?&+")
    assert {t: rows(source, t) for t in ("a", "sp ace", "ü%20#?&+", "w", "enc", "u16")} == {
        "a": [{"x": 1}], "sp ace": [{"x": 2}], "ü%20#?&+": [{"x": 3}], "enc": [{"x": 8}],
        "w": [{"x": 4, "y": "a"}, {"x": 5, "y": None}], "u16": [{"x": 1, "ü": "é"}],
    }  # fmt: skip
    assert [n.text for n in source.notices("a")] == [
        "Passed over, since files of other kinds are not read: readme.txt."
    ]
    assert "`y` is in 1 of 2 files, first in w/1.csv" in source.notices("w")[0].text
    assert source.broken(Scan("bad")).to_pylist()[0]["line"] == 302
    assert len(rows(source, "bad")) == 300


@pytest.mark.parametrize(
    ("more", "tables"),
    [
        ({"path": "d/w/*.csv"}, ("1", "2")),
        ({"path": "d/*/[12].csv"}, ("1", "2")),
        ({"path": "one.csv"}, ("one",)),
        ({"path": "/d/w/"}, ("1", "2")),
    ],
)
def test_a_path_is_a_folder_a_glob_or_one_object(
    bucket: str, tmp_path: Path, more: Any, tables: tuple[str, ...]
) -> None:
    assert made(bucket, tmp_path, **more).tables() == tables


def test_a_url_says_bucket_and_path(bucket: str, tmp_path: Path) -> None:
    given = {k: v for k, v in buckets.options(bucket).items() if k != "bucket"}
    source = S3Source.from_options({**given, "url": f"s3://{bucket}/one.csv"}, str(tmp_path))
    assert rows(source, "one") == [{"x": 7}]


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"path": "gone"}, SourceError, "nothing at s3://"),
        ({"bucket": "no-such-bucket"}, SourceError, "There is no bucket"),
        ({"endpoint": "http://127.0.0.1:1"}, SourceError, "does not answer"),
        ({"endpoint": "{site}"}, SourceError, "answers 404"),
        ({"path": "d/../e"}, ProjectError, "no path in a bucket"),
        ({"endpoint": "127.0.0.1"}, ProjectError, "no endpoint"),
        ({"url": "s3://b"}, ProjectError, "needs a bucket, or a url"),
        ({"bucket": "Ü"}, ProjectError, "cannot be the name"),
        ({"secret": None}, ProjectError, "`key` and `secret` together"),
        ({"anonymous": True}, ProjectError, "together"),
        ({"prefix": "d"}, UnknownNameError, "no option `prefix`"),
        ({"max_size": "many"}, ProjectError, "`max_size`"),
        ({"timeout": "0 s"}, ProjectError, "`timeout`"),
        ({"writable": True}, UnsupportedError, "never written"),
        ({"tables": {"q": {}}}, UnknownNameError, "no such table"),
    ],
)
def test_what_is_wrong_is_said(
    bucket: str, tmp_path: Path, more: Any, error: type[TilthError], said: str
) -> None:
    if more.get("endpoint") == "{site}":
        more = {"endpoint": sites.started().url}  # a server that is no store
    with pytest.raises(error, match=said) as caught:
        made(bucket, tmp_path, **{"timeout": "1 s", **more}).tables()
    assert caught.value.hint
    assert buckets.SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "error", "said"),
    [
        ("b", UnknownNameError, "There is no table `b`"),
        ("deep", UnknownNameError, "its files lie in folders within it"),
        ("readme", UnknownNameError, "readme.txt is passed over"),
        ("mixed", SourceError, "several kinds"),
        ("cut", SourceError, "could not be read"),
    ],
)
def test_tables_that_are_none(
    bucket: str, tmp_path: Path, table: str, error: type[TilthError], said: str
) -> None:
    with pytest.raises(error, match=said):
        made(bucket, tmp_path).describe(table)


def test_an_object_that_no_folder_could_hold_is_named(tmp_path: Path) -> None:
    name = buckets.new()
    buckets.put(name, "d/../a.csv", b"x\n1\n")
    with pytest.raises(SourceError, match=r"dotted part.*d/\.\./a\.csv"):
        made(name, tmp_path, path="*/*.csv").tables()


def test_more_than_may_be_read_is_not_read(tmp_path: Path) -> None:
    name = buckets.new()
    buckets.put(name, "d/a.csv", b"x\n" + b"1234567890\n" * 200)
    with pytest.raises(SourceError, match="reads 1 KB at most"):
        made(name, tmp_path, max_size="1 KB").describe("a")


def test_a_token_is_the_table_s_own(tmp_path: Path) -> None:
    name = buckets.new()
    for key in ("d/w/1.csv", "d/o.csv"):
        buckets.put(name, key, b"x\n1\n")
    source = made(name, tmp_path)
    before = source.change_token("w")
    buckets.put(name, "d/o.csv", b"x\n2\n")
    assert source.change_token("w") == before
    buckets.put(name, "d/w/2.csv", b"x\n2\n")
    added = source.change_token("w")
    buckets.delete(name, "d/w/1.csv")
    assert len({before, added, source.change_token("w")}) == 3
    assert rows(source, "w") == [{"x": 2}]


def meddling(monkeypatch: pytest.MonkeyPatch, meddle: Iterator[Callable[[], None]]) -> list[int]:
    """Each time the objects of a table were listed, something happens before they are read."""
    asked, items = [0], Bucket.items

    def listed(self: Bucket, table: str) -> Any:
        found = items(self, table)
        asked[0] += 1
        next(meddle, lambda: None)()
        return found

    monkeypatch.setattr(Bucket, "items", listed)
    return asked


@pytest.mark.parametrize("what", ["changed", "gone"])
def test_what_changes_between_list_and_read_is_listed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    name = buckets.new()
    for n in (1, 2):
        buckets.put(name, f"d/w/{n}.csv", f"x\n{n}\n".encode())
    change = {
        "changed": lambda: buckets.put(name, "d/w/2.csv", b"x\n9\n"),
        "gone": lambda: buckets.delete(name, "d/w/2.csv"),
    }[what]
    asked = meddling(monkeypatch, iter([change]))
    assert rows(made(name, tmp_path), "w") == [{"x": 1}, *([{"x": 9}] if what == "changed" else [])]
    assert asked == [2]


def test_what_never_stands_still_is_refused_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = buckets.new()
    buckets.put(name, "d/a.csv", b"x\n0\n")
    meddling(
        monkeypatch,
        iter([(lambda n=n: buckets.put(name, "d/a.csv", f"x\n{n}\n".encode())) for n in range(1, 9)]),
    )
    with pytest.raises(SourceError, match=r"changed each of 4 times.*a\.csv changed\. Nothing was taken"):
        made(name, tmp_path).describe("a")


LIST = """<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>b</Name><KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys>
<IsTruncated>false</IsTruncated><Contents><Key>d/a.csv</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"t1"</ETag>
<Size>{size}</Size></Contents></ListBucketResult>"""


@pytest.mark.parametrize(("cut", "said"), [(1, None), (99, "4 times over")])
def test_a_body_that_is_cut_off_is_asked_for_again(tmp_path: Path, cut: int, said: str | None) -> None:
    body, sent = b"x\n" + b"1\n" * 5000, [0]
    site = sites.started()
    site.put("/bkt", LIST.format(size=len(body)).encode())

    def answer(request: Any) -> None:
        sent[0] += 1
        request.send_response(200)
        for name, value in {
            "ETag": '"t1"',
            "Content-Length": str(len(body)),
            "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT",
        }.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body[:400] if sent[0] <= cut else body)

    site.special["/bkt/d/a.csv"] = answer
    given = {
        "bucket": "bkt",
        "path": "d",
        "endpoint": site.url,
        "region": "us-east-1",
        "key": "k",
        "secret": "s",
    }
    source = S3Source.from_options(given, str(tmp_path))
    if said is None:
        assert len(rows(source, "a")) == 5000
        return
    with pytest.raises(SourceError, match=said):
        source.describe("a")


def test_a_key_that_is_given_is_used_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = sites.started()
    site.put("/bkt", LIST.format(size=2).encode())
    for name in ("AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-another")
    for more in (
        {"key": "mine", "secret": "s"},
        {"key": "mine", "secret": "s", "token": "t"},
        {"anonymous": True},
    ):
        given = {"bucket": "bkt", "path": "d", "endpoint": site.url, "region": "us-east-1", **more}
        assert S3Source.from_options(given, str(tmp_path)).tables() == ("a",)
        sent = " ".join(site.asked[-1][2].values())
        assert "of-another" not in sent
        assert ("mine/" in sent) == ("key" in more)


def test_copies_are_below_the_project_and_go_with_what_read_them(bucket: str, tmp_path: Path) -> None:
    (tmp_path / ".tilth").mkdir()
    source = made(bucket, tmp_path)
    reader = source.scan(Scan("a"))
    assert len(os.listdir(tmp_path / ".tilth" / "copies")) == 1
    copies._kept.clear()
    del source
    assert reader.read_all().num_rows == 1
    del reader
    assert os.listdir(tmp_path / ".tilth" / "copies") == []

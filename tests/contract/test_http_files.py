"""Files of an HTTP server: what they are, whether they came whole, and where redirects and secrets may go."""

import gzip
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import sites
from tilth.adapters.sources.http import server as serving
from tilth.adapters.sources.http.source import HttpSource
from tilth.adapters.sources.remote import copies
from tilth.core.errors import ProjectError, SourceError, TilthError, UnknownNameError
from tilth.core.scan import Scan

BODY = b"x,y\n1,a\n2,b\n"
ROWS = [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "PAUSE", 0.01)
    monkeypatch.setattr(serving, "PAUSE", 0.01)


@pytest.fixture
def site() -> sites.Site:
    return sites.started()


def made(root: Path, url: str, **more: Any) -> Any:
    return HttpSource.from_options({"url": url, **more}, str(root))


def rows(source: Any) -> Any:
    (table,) = source.tables()
    return source.scan(Scan(table)).read_all().to_pylist()


@pytest.mark.parametrize(
    ("path", "body", "headers", "more", "table"),
    [
        ("/d/w.csv", BODY, {}, {}, "w"),
        ("/d/w%20x.csv.gz", gzip.compress(BODY, mtime=0), {}, {}, "w x"),
        ("/d/w.csv", gzip.compress(BODY, mtime=0), {"Content_Encoding": "gzip"}, {}, "w"),
        ("/d/w.csv.gz", gzip.compress(BODY, mtime=0), {"Content_Encoding": "gzip"}, {}, "w"),
        ("/export", BODY, {"Content_Type": "text/csv; charset=utf-8"}, {}, "export"),
        ("/export", BODY, {}, {"kind": "csv"}, "export"),
        ("/export.php", BODY, {}, {"kind": "csv"}, "export"),
        ("/api/rows", b'[{"x": 1, "y": "a"},\n {"x": 2, "y": "b"}]', {"Content_Type": "application/json"}, {}, "rows"),
        ("/w.csv", BODY, {"ETag": None}, {}, "w"),
        ("/w.csv", BODY, {"ETag": None, "Last_Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}, {}, "w"),
        ("/w.csv", BODY.replace(b",", b";"), {}, {"format": {"delimiter": ";"}}, "w"),
    ],
)  # fmt: skip
def test_a_url_is_a_table(
    tmp_path: Path, site: sites.Site, path: str, body: bytes, headers: Any, more: Any, table: str
) -> None:
    site.put(path, body, **headers)
    source = made(tmp_path, f"{site.url}{path}?key=1", **more)
    assert source.tables() == (table,)
    assert rows(source) == ROWS
    assert source.notices(table) == ()
    told = "ETag" not in headers or "Last_Modified" in headers
    assert (source.change_token(table) is not None) == told
    assert sum(method == "GET" for method, _, _ in site.asked) == 1


def test_several_addresses_are_tables_and_parts_of_one(tmp_path: Path, site: sites.Site) -> None:
    site.put("/1.csv", b"x\n1\n")
    site.put("/2.csv", b"x\n2\n")
    urls = {"one": f"{site.url}/1.csv", "all": (f"{site.url}/1.csv", f"{site.url}/2.csv")}
    source = HttpSource.from_options({"urls": urls}, str(tmp_path))
    assert source.tables() == ("all", "one")
    assert source.scan(Scan("all")).read_all()["x"].to_pylist() == [1, 2]
    with pytest.raises(UnknownNameError, match="no table `two`"):
        source.describe("two")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "needs a url"),
        ({"url": "ftp://h/x.csv"}, "begins with 'ftp'"),
        ({"url": "file:///etc/passwd"}, "begins with 'file'"),
        ({"url": "http://"}, "begins with"),
        ({"url": "http://u:p4ss@h/x.csv"}, "holds a name or a password"),
        ({"url": "http://h:99999/x"}, "is no address"),
        ({"url": "http://h/a b"}, "blanks"),
        ({"url": "http://h/x\r\nHost: y"}, "no text that can be used"),
        ({"url": "http://h/x", "urls": {}}, "needs a url"),
        ({"urls": {"a": 3}}, "no address"),
        ({"url": "http://h/x", "headers": {"Host": "y"}}, "not the source's to say"),
        ({"url": "http://h/x", "headers": {"A": "b\nC: d"}}, "cannot be sent"),
        ({"url": "http://h/x", "kind": "xml"}, "`kind` cannot be"),
        ({"url": "http://h/x", "path": "x"}, "no option `path`"),
        ({"url": "http://h/x", "max_size": "0 B"}, "`max_size`"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(tmp_path: Path, given: Any, said: str) -> None:
    with pytest.raises(ProjectError, match=said) as caught:
        HttpSource.from_options(given, str(tmp_path))
    assert caught.value.hint
    assert "p4ss" not in str(caught.value)


def _answer(status: int, headers: dict[str, str], body: bytes = b"", wait: float = 0.0) -> sites.Answer:
    def answer(request: Any) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        time.sleep(wait)
        if request.command != "HEAD":
            request.wfile.write(body)

    return answer


@pytest.mark.parametrize(
    ("status", "headers", "body", "said"),
    [
        (404, {}, b"", "answers 404"),
        (401, {}, b"", "answers 401"),
        (503, {}, b"", "answers 503, 4 times over"),
        (200, {"Content-Length": "100"}, BODY, "ended after 12 bytes of 100 bytes, 4 times over"),
        (200, {"Transfer-Encoding": "chunked"}, b"c\r\n" + BODY + b"\r\n", "broke off .*4 times over"),
        (200, {"Content-Length": "9999999"}, b"", "reads 1 KB at most"),
        (200, {}, b"x\n" + b"1\n" * 4000, "reads 1 KB at most"),
        (200, {"Content-Length": "36"}, b"\n<!DOCTYPE html><html>Sign in</html>\n", r"a page \(HTML\) and no data"),
        (200, {"Content-Encoding": "br", "Content-Length": "12"}, BODY, "not unpacked"),
        (302, {"Location": "file:///etc/passwd"}, b"", "neither http nor https"),
        (302, {"Location": "/w.csv"}, b"", "leads in circles"),
        (200, {"Content-Length": "12", "Content-Type": "text/html"}, b"<html></html", "The files could not be read|none|no "),
    ],
)  # fmt: skip
def test_what_is_no_whole_file_is_refused(
    tmp_path: Path, site: sites.Site, status: int, headers: dict[str, str], body: bytes, said: str
) -> None:
    site.special["/w.csv"] = _answer(status, headers, body)
    if "html" in headers.get("Content-Type", ""):
        site.special["/page"] = site.special["/w.csv"]
    url = f"{site.url}/page" if "/page" in site.special else f"{site.url}/w.csv"
    said = "calls it text/html" if "/page" in site.special else said
    with pytest.raises(SourceError, match=said) as caught:
        made(tmp_path, url, max_size="1 KB", timeout="2 s").describe(url.rpartition("/")[2].partition(".")[0])
    assert caught.value.hint


def test_a_server_that_stumbles_once_is_asked_again(tmp_path: Path, site: sites.Site) -> None:
    site.put("/w.csv", BODY)
    right, turns = dict(site.special), [0]
    whole = {"Content-Length": str(len(BODY)), "ETag": '"1"'}

    def answer(request: Any) -> None:
        turns[0] += 1
        status, body = (503, b"") if turns[0] == 1 else (200, BODY[:5] if turns[0] == 3 else BODY)
        _answer(status, whole if status == 200 else {}, body)(request)

    site.special["/w.csv"] = answer
    source = made(tmp_path, f"{site.url}/w.csv")
    assert rows(source) == ROWS
    assert [n.text for n in source.notices("w")] == ["1 body arrived cut off and had to be asked for again."]
    assert right == {}


def test_a_body_of_unknown_length_is_told(tmp_path: Path, site: sites.Site) -> None:
    site.put("/w.csv", BODY, Content_Length=None)
    source = made(tmp_path, f"{site.url}/w.csv")
    assert rows(source) == ROWS
    assert "did not say how long" in source.notices("w")[0].text


def test_a_server_without_head_is_asked_by_get(tmp_path: Path, site: sites.Site) -> None:
    site.put("/w.csv", BODY)

    def answer(request: Any) -> None:
        headers = {"Content-Length": "12", "ETag": '"1"'}
        _answer(
            405 if request.command == "HEAD" else 200, {} if request.command == "HEAD" else headers, BODY
        )(request)

    site.special["/w.csv"] = answer
    assert rows(made(tmp_path, f"{site.url}/w.csv")) == ROWS


def test_a_slow_server_is_not_waited_for(tmp_path: Path, site: sites.Site) -> None:
    site.special["/w.csv"] = _answer(200, {"Content-Length": "12"}, BODY, wait=0.6)
    with pytest.raises(SourceError, match="4 times over"):
        made(tmp_path, f"{site.url}/w.csv", timeout="0.1 s").describe("w")


def test_redirects_are_followed_and_secrets_stay_with_their_origin(tmp_path: Path, site: sites.Site) -> None:
    other = sites.started()
    site.put("/here.csv", BODY)
    other.put("/there.csv", BODY)
    site.special["/a.csv"] = _answer(302, {"Location": "/here.csv"})
    site.special["/b.csv"] = _answer(307, {"Location": f"{other.url}/there.csv"})
    said = {"auth": "Bearer s3cret", "headers": {"X-Key": "s3cret"}}
    assert rows(made(tmp_path, f"{site.url}/a.csv", **said)) == ROWS
    assert rows(made(tmp_path, f"{site.url}/b.csv", **said)) == ROWS
    assert all("s3cret" in h.values() or "Bearer s3cret" in h.values() for _, _, h in site.asked)
    assert not any("s3cret" in v for _, _, h in other.asked for v in h.values())


def test_a_redirect_from_https_to_http_is_refused() -> None:
    request = urllib.request.Request("https://h/x.csv?key=1")
    for target in ("http://h/x.csv", "ftp://h/x"):
        with pytest.raises(SourceError, match="which is not followed"):
            serving.Redirects({}).redirect_request(request, None, 302, "", {}, target)
    assert serving.Redirects({}).redirect_request(request, None, 302, "", {}, "https://g/x.csv") is not None


def test_neither_errors_nor_tokens_show_what_a_query_holds(tmp_path: Path, site: sites.Site) -> None:
    site.put("/w.csv", BODY)
    source = made(tmp_path, f"{site.url}/w.csv?sig=hidden")
    assert "hidden" not in str(source.change_token("w"))
    with pytest.raises(TilthError) as caught:
        made(tmp_path, f"{site.url}/gone.csv?sig=hidden").describe("gone")
    assert "hidden" not in str(caught.value)


def test_a_change_is_seen_and_the_new_file_read(tmp_path: Path, site: sites.Site) -> None:
    site.put("/w.csv", BODY)
    source = made(tmp_path, f"{site.url}/w.csv")
    before = source.change_token("w")
    assert rows(source) == ROWS
    site.put("/w.csv", b"x\n5\n")
    assert source.change_token("w") != before
    assert rows(source) == [{"x": 5}]

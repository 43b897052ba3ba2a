"""Bad input of every kind at the paths that predict: one clear error with its status and a next step, nothing predicted, nothing logged.

What is wrong with one row or tensor is in `test_http`, with a connection in `test_http_bounds`.
"""

import json
import re
import struct
from collections.abc import Iterator
from typing import Any

import pytest

import http_server
from http_server import ROW, Up, up

P, V = "/predict/late_api", "/v2/models/late_api/infer"
HEAD = "Inference-Header-Content-Length"
GOOD = json.dumps(ROW).encode()
DEEP = 10_000


def tensors(**changes: Any) -> dict[str, Any]:
    """A good request of one row, whose input `distance` is changed."""
    distance = {"name": "distance", "shape": [1], "datatype": "FP64", "data": [50.5], **changes}
    named = {"carrier": "slow", "ordered_at": "2024-04-30T20:00:00"}
    texts = [{"name": n, "shape": [1], "datatype": "BYTES", "data": [v]} for n, v in named.items()]
    return {"inputs": [{k: v for k, v in distance.items() if v is not None}, *texts]}


def binary(tail: bytes, head: int | str | None = None, **changes: Any) -> tuple[bytes, dict[str, str]]:
    """A body whose `distance` is the bytes behind the JSON, and the header that says where they begin."""
    given = {"data": None, "parameters": {"binary_data_size": 8}, **changes}
    text = json.dumps(tensors(**given)).encode()
    return text + tail, {HEAD: str(len(text) if head is None else head)}


EIGHT = struct.pack("<d", 50.5)
WITH_TEXT = {"datatype": "BYTES", "parameters": {"binary_data_size": 8}}
ODD = {"parameters": {"binary_data_size": 7}}
KIND = "Content-Type"
BAD: list[tuple[str, str, str, bytes, dict[str, str], int, str]] = [
    # content types
    ("XML", "POST", P, b"<a/>", {KIND: "application/xml"}, 415, "application/xml.*only JSON"),
    ("CSV with good JSON", "POST", P, GOOD, {KIND: "text/csv"}, 415, "text/csv"),
    ("a form with files", "POST", P, GOOD, {KIND: "multipart/form-data; boundary=x"}, 415, "multipart"),
    ("bytes at a path of JSON", "POST", P, GOOD, {KIND: "application/octet-stream"}, 415, "octet-stream"),
    ("Arrow", "POST", V, b"ARROW1", {KIND: "application/vnd.apache.arrow.stream"}, 415, "arrow"),
    ("a type of 5 KB", "POST", P, GOOD, {KIND: "x" * 5_000}, 415, "xxx"),
    ("a type that is no ASCII", "POST", P, GOOD, {KIND: "\xff\xfe"}, 415, "only JSON"),
    ("gzip", "POST", P, b"\x1f\x8b\x08", {"Content-Encoding": "gzip"}, 415, "compressed"),
    ("gzip of tensors", "POST", V, b"\x1f\x8b\x08", {"Content-Encoding": "gzip"}, 415, "compressed"),
    # bodies
    ("nothing", "POST", P, b"", {}, 422, "empty"),
    ("nothing for tensors", "POST", V, b"", {}, 422, "Open Inference Protocol"),
    ("text", "POST", P, b"hello", {}, 422, "not JSON"),
    ("UTF-16", "POST", P, GOOD.decode().encode("utf-16"), {}, 422, "not JSON"),
    ("a mark of UTF-8 before it", "POST", P, b"\xef\xbb\xbf" + GOOD, {}, 422, "not JSON"),
    ("arrays 10,000 deep", "POST", P, b"[" * DEEP + b"]" * DEEP, {}, 422, ""),
    ("objects 10,000 deep", "POST", P, b'{"distance":' * DEEP + b"1" + b"}" * DEEP, {}, 422, ""),
    ("tensors 10,000 deep", "POST", V, b'{"inputs":' * DEEP + b"1" + b"}" * DEEP, {}, 422, "Inference"),
    ("parameters 10,000 deep", "POST", V, b'{"parameters":{"a":' + b"[" * DEEP, {}, 422, "Inference"),
    ("a name twice", "POST", P, b'{"distance": 1, ' + GOOD[1:], {}, 422, "distance"),
    ("inputs twice", "POST", V, b'{"inputs": [], "inputs": []}', {}, 422, "twice|inputs"),
    ("a name of 1 MB", "POST", P, b'{"' + b"a" * (1 << 20) + b'": 1}', {}, 422, "no input"),
    ("an output of 1 MB", "POST", P, json.dumps({"rows": [ROW], "outputs": ["a" * (1 << 20)]}).encode(), {}, 404, "no output"),
    ("a tensor's name of 1 MB", "POST", V, json.dumps(tensors(name="a" * (1 << 20))).encode(), {}, 422, "no input"),
    ("a datatype of 1 MB", "POST", V, json.dumps(tensors(datatype="a" * (1 << 20))).encode(), {}, 422, "datatype"),
    ("a shape of 100,000", "POST", V, json.dumps(tensors(shape=[1] * 100_000)).encode(), {}, 422, "shape"),
    ("100,000 names", "POST", P, json.dumps({str(n): n for n in range(100_000)}).encode(), {}, 422, "no input"),
    ("a number of 1 MB", "POST", P, b'{"distance": ' + b"9" * (1 << 20) + b"}", {}, 422, ""),
    ("9 MB", "POST", P, b" " * (9 << 20), {}, 413, "8 MB"),
    ("9 MB of tensors", "POST", V, b" " * (9 << 20), {}, 413, "8 MB"),
    ("half a character in a name", "POST", P, rb'{"\ud800": 1}', {}, 422, ""),
    # paths, parameters, headers
    ("an unknown path", "POST", "/predictions/late_api", GOOD, {}, 404, "nothing at"),
    ("no endpoint", "POST", "/predict/", GOOD, {}, 404, "no endpoint"),
    ("a way out of the folder", "POST", "/predict/../../etc/passwd", GOOD, {}, 404, "no endpoint"),
    ("one that is encoded", "POST", "/predict/%2e%2e%2f%2e%2e%2fetc", GOOD, {}, 404, "no endpoint"),
    ("a path that is no UTF-8", "POST", "/predict/%ff%fe", GOOD, {}, 404, "no endpoint"),
    ("a NUL in a path", "POST", "/predict/late%00api", GOOD, {}, 404, "no endpoint"),
    ("a part too much", "POST", "/v2/models/late_api/infer/now", b"{}", {}, 404, "nothing at"),
    ("a version that is none", "POST", "/v2/models/late_api/versions/x/infer", b'{"inputs":[]}', {}, 404, "version"),
    ("an unknown parameter", "POST", P + "?limit=1", GOOD, {}, 404, "limit"),
    ("an output that is no UTF-8", "POST", P + "?outputs=%ff", GOOD, {}, 404, "no output"),
    ("another method", "DELETE", P, b"", {}, 405, "POST"),
    ("a method that is none", "BREW", P, b"", {}, 400, "HTTP/1.1"),
    ("an empty key", "POST", P, GOOD, {"Idempotency-Key": ""}, 422, "Idempotency-Key"),
    ("a key that is no ASCII", "POST", P, GOOD, {"Idempotency-Key": "\xff\xfe"}, 422, "Idempotency-Key"),
    ("a key of 256", "POST", P, GOOD, {"Idempotency-Key": "x" * 256}, 422, "Idempotency-Key"),
    # bytes of tensors
    ("no data", "POST", V, json.dumps(tensors(data=None)).encode(), {}, 422, "has no data"),
    ("bytes without their header", "POST", V, binary(EIGHT)[0], {}, 422, HEAD),
    ("a header that is no number", "POST", V, *binary(EIGHT, "x"), 422, HEAD),
    ("a negative one", "POST", V, *binary(EIGHT, -1), 422, HEAD),
    ("one past the end", "POST", V, *binary(EIGHT, 1 << 30), 422, HEAD),
    ("one of 4 KB", "POST", V, *binary(EIGHT, "9" * 4_000), 422, HEAD),
    ("one that cuts the JSON", "POST", V, *binary(EIGHT, 10), 422, "Inference Protocol"),
    ("too few bytes", "POST", V, *binary(EIGHT[:7]), 422, "binary_data_size"),
    ("too many", "POST", V, *binary(EIGHT * 2), 422, "8 bytes behind the JSON belong to no input"),
    ("half a number", "POST", V, *binary(EIGHT[:7], **ODD), 422, "7 bytes, which is no whole number"),
    ("bytes and data", "POST", V, *binary(EIGHT, data=[1.0]), 422, "binary_data_size"),
    ("a size that is a text", "POST", V, *binary(EIGHT, parameters={"binary_data_size": "8"}), 422, "binary_data_size"),
    ("a negative size", "POST", V, *binary(EIGHT, parameters={"binary_data_size": -8}), 422, "binary_data_size"),
    ("a size that is true", "POST", V, *binary(EIGHT, parameters={"binary_data_size": True}), 422, "binary_data_size"),
    ("more elements than the shape", "POST", V, *binary(EIGHT, shape=[2]), 422, r"shape \[2\] and 1 elements"),
    ("a text longer than its bytes", "POST", V, *binary(b"\xff\xff\xff\xff1234", **WITH_TEXT), 422, "no texts"),
    ("a text that is no UTF-8", "POST", V, *binary(b"\x04\0\0\0\xff\xfe\xff\xfe", **WITH_TEXT), 422, "no texts"),
    ("a text cut in its length", "POST", V, *binary(b"\x02\0\0\0ab\x01\0", **WITH_TEXT), 422, "no texts"),
]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(http_server.applied(tmp_path_factory.mktemp("bad") / "shop")) as found:
        yield found


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "words"), [b[1:] for b in BAD], ids=[b[0] for b in BAD]
)
def test_bad_input_is_one_clear_error_and_changes_nothing(
    server: Up, method: str, path: str, body: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    before = len(server.records())
    found = server.ask(method, path, body, headers)
    assert found.status == status, found.body[:500]
    assert re.search(words, found.error, re.DOTALL), found.error[:500]
    error = found.json["detail"] if path.startswith("/v2") else found.json["error"]
    assert error["code"].startswith("E-")
    assert error["message"].endswith(".")
    assert error.get("hint") or status == 400
    assert len(found.body) < 4_096
    assert len(server.records()) == before
    assert server.predict().status == 200


@pytest.mark.parametrize(
    "kind",
    ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "text/json", "application/vnd.shop+json",
     "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", ""],
)  # fmt: skip
def test_json_is_read_under_every_name_that_clients_give_it(server: Up, kind: str) -> None:
    assert server.ask("POST", P, GOOD, {KIND: kind}).status == 200
    assert server.ask("POST", V, json.dumps(tensors()).encode(), {KIND: kind}).status == 200


DATATYPES = [
    ("FP16", struct.pack("<e", 50.5)), ("FP32", struct.pack("<f", 50.5)), ("FP64", EIGHT), ("INT8", b"\x32"),
    ("INT16", b"\x32\0"), ("INT32", b"\x32\0\0\0"), ("INT64", struct.pack("<q", 50)), ("UINT8", b"\x32"), ("UINT16", b"\x32\0"),
    ("UINT32", b"\x32\0\0\0"), ("UINT64", struct.pack("<Q", 50)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "held"), DATATYPES, ids=[d[0] for d in DATATYPES])
def test_bytes_of_each_datatype_are_the_number_that_they_say(server: Up, kind: str, held: bytes) -> None:
    value = 50.5 if kind.startswith("FP") else 50
    body, headers = binary(held, datatype=kind, parameters={"binary_data_size": len(held)})
    found = server.ask("POST", V, body, headers)
    assert found.status == 200, found.body
    assert found.json["outputs"] == server.predict(tensors(data=[value]), V).json["outputs"]


def test_a_key_with_the_same_body_cut_elsewhere_is_another_request(server: Up) -> None:
    body, headers = binary(EIGHT)
    assert server.ask("POST", V, body, {**headers, "Idempotency-Key": "cut"}).status == 200
    again = server.ask("POST", V, body, {**headers, "Idempotency-Key": "cut"})
    assert (again.status, again.headers["idempotent-replayed"]) == (200, "true")
    assert server.ask("POST", V, body, {HEAD: "10", "Idempotency-Key": "cut"}).status == 422


def test_an_answer_in_bytes_that_was_kept_is_given_again_as_bytes(server: Up) -> None:
    asked = {**tensors(), "parameters": {"binary_data_output": True}}
    first, second = (server.ask("POST", V, asked, {"Idempotency-Key": "bytes"}) for _ in range(2))
    assert first.headers["content-type"] == second.headers["content-type"] == "application/octet-stream"
    assert (first.body, first.headers[HEAD.lower()]) == (second.body, second.headers[HEAD.lower()])

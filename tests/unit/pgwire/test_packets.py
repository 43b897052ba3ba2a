"""Bytes of a client, whole, in pieces, cut short and made up: packets and messages, or one clear refusal."""

from __future__ import annotations

import contextlib
import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.interfaces.pgwire import asked, frames, said
from tilth.interfaces.pgwire.frames import BadPacket, Cancel, Encryption, Frames, Message, Startup

BEGIN = struct.pack("!ii", 4 + 4 + 12, 3 << 16) + b"user\0tilth\0\0"


def packets(*data: bytes, trusted: bool = True) -> list[object]:
    reads = Frames()
    if trusted:
        reads.trust()
    out: list[object] = []
    for piece in data:
        reads.feed(piece)
        out += reads.packets()
    return out


FIRST: dict[str, tuple[bytes, list[object]]] = {
    "TLS": (struct.pack("!ii", 8, frames.TLS), [Encryption(True)]),
    "GSSAPI": (struct.pack("!ii", 8, frames.GSSAPI), [Encryption(False)]),
    "a start": (BEGIN, [Startup(0, {"user": "tilth"})]),
    "TLS, then a start": (
        struct.pack("!ii", 8, frames.TLS) + BEGIN,
        [Encryption(True), Startup(0, {"user": "tilth"})],
    ),
    "a newer minor version": (
        struct.pack("!ii", 27, (3 << 16) + 2) + b"user\0a\0_pq_.x\0tru\0\0",
        [Startup(2, {"user": "a"}, ("_pq_.x",))],
    ),
    "no parameter": (struct.pack("!ii", 9, 3 << 16) + b"\0", [Startup(0, {})]),
    "to cancel": (struct.pack("!iiii", 16, frames.CANCEL, 7, 9), [Cancel(7, b"\0\0\0\x09")]),
    "to cancel, by a long key": (
        struct.pack("!iii", 44, frames.CANCEL, 7) + b"k" * 32,
        [Cancel(7, b"k" * 32)],
    ),
}


@pytest.mark.parametrize(("data", "found"), FIRST.values(), ids=FIRST)
def test_what_a_connection_begins_with(data: bytes, found: list[object]) -> None:
    assert packets(data) == found
    assert packets(*(data[i : i + 1] for i in range(len(data)))) == found


NO_PACKET: dict[str, bytes] = {
    "too short": struct.pack("!i", 7),
    "too long": struct.pack("!i", 10_001),
    "a negative length": struct.pack("!i", -1),
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "protocol 2": struct.pack("!ii", 8, 2 << 16),
    "no end": struct.pack("!ii", 16, 3 << 16) + b"user\0til",
    "a name alone": struct.pack("!ii", 14, 3 << 16) + b"user\0\0",
    "no name": struct.pack("!ii", 16, 3 << 16) + b"\0abcde\0\0",
    "no UTF-8": struct.pack("!ii", 8 + 8, 3 << 16) + b"us\xff\0ab\0\0",
    "too short to cancel": struct.pack("!iii", 12, frames.CANCEL, 1),
    "a message that is too long": BEGIN + b"Q" + struct.pack("!i", 2**30),
    "a message that is too short": BEGIN + b"Q" + struct.pack("!i", 3),
}


@pytest.mark.parametrize("data", NO_PACKET.values(), ids=NO_PACKET)
def test_what_is_no_packet(data: bytes) -> None:
    with pytest.raises(BadPacket):
        packets(data)


def test_a_long_message_waits_until_it_is_known_who_asks() -> None:
    long = said.message(b"Q", b"x" * 20_000)
    with pytest.raises(BadPacket, match="20,004 bytes, where 4 to 10,000"):
        packets(BEGIN + long, trusted=False)
    assert packets(BEGIN + long)[1:] == [Message(b"Q", b"x" * 20_000)]


MESSAGES: dict[str, tuple[bytes, bytes, object]] = {
    "query": (b"Q", b"SELECT 1\0", asked.Query("SELECT 1")),
    "parse": (b"P", b"s\0SELECT $1\0\0\x01\0\0\0\x17", asked.Parse("s", "SELECT $1", (23,))),
    "bind": (
        b"B",
        b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\0",
        asked.Bind("p", "s", (1,), (b"x", None), ()),
    ),
    "describe a statement": (b"D", b"Ss\0", asked.Describe(False, "s")),
    "describe a portal": (b"D", b"P\0", asked.Describe(True, "")),
    "execute": (b"E", b"\0\0\0\0\x05", asked.Execute("", 5)),
    "close": (b"C", b"Ss\0", asked.Close(False, "s")),
    "sync": (b"S", b"", asked.Sync()),
    "flush": (b"H", b"", asked.Flush()),
    "terminate": (b"X", b"", asked.Terminate()),
    "a password": (b"p", b"any\0thing", asked.Response(b"any\0thing")),
    "copy data": (b"d", b"1\t2\n", asked.CopyData(b"1\t2\n")),
    "copy done": (b"c", b"", asked.CopyDone()),
    "copy fail": (b"f", b"why\0", asked.CopyFail("why")),
    "a function": (b"F", b"\0\0\0\x01", asked.FunctionCall()),
}


@pytest.mark.parametrize(("kind", "body", "found"), MESSAGES.values(), ids=MESSAGES)
def test_what_messages_say(kind: bytes, body: bytes, found: object) -> None:
    assert asked.read(Message(kind, body)) == found


BAD_MESSAGES: dict[str, tuple[bytes, bytes, str]] = {
    "of no kind": (b"?", b"", "no message begins with"),
    "no end of a text": (b"Q", b"SELECT 1", "ends too early"),
    "more than the text": (b"Q", b"SELECT 1\0x", "1 bytes too many"),
    "no UTF-8": (b"Q", b"\xff\0", "not UTF-8"),
    "types that are not there": (b"P", b"\0\0\xff\xff", "ends too early"),
    "values that are not there": (b"B", b"\0\0\0\0\xff\xff", "ends too early"),
    "a length that is negative": (b"B", b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0", "ends too early"),
    "a length beyond the end": (b"B", b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0", "ends too early"),
    "a format that is none": (b"B", b"\0\0\0\x01\0\x02\0\x01\0\0\0\x01x\0\0", "neither text nor binary"),
    "too many formats": (b"B", b"\0\0\0\x02\0\0\0\0\0\x01\0\0\0\x01x\0\0", "2 formats for 1 parameters"),
    "neither statement nor portal": (b"D", b"Xs\0", "neither a statement nor a portal"),
    "sync with a body": (b"S", b"x", "1 bytes too many"),
}


@pytest.mark.parametrize(("kind", "body", "words"), BAD_MESSAGES.values(), ids=BAD_MESSAGES)
def test_what_no_message_says(kind: bytes, body: bytes, words: str) -> None:
    with pytest.raises(asked.BadMessage, match=words):
        asked.read(Message(kind, body))


@settings(max_examples=300)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_any_bytes_are_packets_or_refused_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    def found(*pieces: bytes) -> object:
        try:
            return packets(*pieces)
        except BadPacket:
            return BadPacket

    ends = sorted({0, *cuts, len(data)})
    pieces = [data[a:b] for a, b in itertools.pairwise(ends)]
    whole, cut = found(BEGIN + data), found(BEGIN, *pieces)
    assert whole == cut


@settings(max_examples=300)
@given(st.sampled_from(list(asked._READS)), st.binary(max_size=60))
def test_any_body_says_something_or_is_refused(kind: bytes, body: bytes) -> None:
    with contextlib.suppress(asked.BadMessage):
        asked.read(Message(kind, body))

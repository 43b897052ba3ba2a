"""Who is let in by SCRAM-SHA-256, against a client written apart from RFC 5802."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from tilth.runtime.scram import Exchange, Refused, Verifier

TOKEN = b"tilth_0123abcd_secret"


def proof(password: bytes, bare: str, first: str, without: str) -> str:
    said = dict(word.split("=", 1) for word in first.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password, base64.b64decode(said["s"]), int(said["i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    sign = hmac.digest(hashlib.sha256(key).digest(), f"{bare},{first},{without}".encode(), "sha256")
    return base64.b64encode(bytes(a ^ b for a, b in zip(key, sign, strict=True))).decode()


def ask(exchange: Exchange, password: bytes, **changed: str) -> bytes:
    bare = changed.get("bare", "n=,r=abc")
    header = changed.get("header", "n,,")
    first = exchange.first(f"{header}{bare}".encode()).decode()
    nonce = changed.get("nonce", first.split(",", 1)[0][2:])
    without = f"c={base64.b64encode(changed.get('bound', header).encode()).decode()},r={nonce}"
    return exchange.final(
        f"{without},p={changed.get('proof', proof(password, bare, first, without))}".encode()
    )


def test_the_example_of_the_specification() -> None:
    """RFC 7677, section 3."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    exchange = Exchange(Verifier.of(b"pencil", salt, 4096), "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    assert exchange.first(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    assert (
        exchange.final(
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        )
        == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    )


def test_who_has_the_password_is_let_in() -> None:
    verifier = Verifier.of(TOKEN)
    assert ask(Exchange(verifier), TOKEN).startswith(b"v=")
    assert ask(Exchange(Verifier.read(verifier.text)), TOKEN, header="y,,").startswith(b"v=")
    assert TOKEN.decode() not in verifier.text


WRONG: dict[str, dict[str, str]] = {
    "another header": {"bound": "y,,"},
    "another nonce": {"nonce": "abc"},
    "no proof": {"proof": ""},
    "a proof that is no base64": {"proof": "!!"},
    "a short proof": {"proof": "AAAA"},
    "a proof of zeros": {"proof": base64.b64encode(bytes(32)).decode()},
    "channel binding": {"header": "p=tls-server-end-point,,"},
    "another identity": {"header": "n,a=root,"},
    "no nonce": {"bare": "n=,r="},
    "a nonce in another place": {"bare": "r=abc,n="},
    "an extension": {"bare": "m=x,n=,r=abc"},
    "twice the same": {"bare": "n=,r=abc,r=abc"},
}


@pytest.mark.parametrize("changed", WRONG.values(), ids=WRONG)
def test_who_is_not(changed: dict[str, str]) -> None:
    with pytest.raises(Refused):
        ask(Exchange(Verifier.of(TOKEN)), TOKEN, **changed)


def test_a_wrong_password_and_a_name_that_nobody_has() -> None:
    with pytest.raises(Refused, match="password is wrong"):
        ask(Exchange(Verifier.of(TOKEN)), TOKEN + b"x")
    one, two = (Verifier.of_nobody("eve", b"secret") for _ in range(2))
    assert (one.salt, one.iterations) == (two.salt, two.iterations)
    assert one.salt != Verifier.of_nobody("eva", b"secret").salt
    with pytest.raises(Refused, match="password is wrong"):
        ask(Exchange(one), b"")


@pytest.mark.parametrize("body", [b"", b"n", b"n,,", b"\xff\xfe,,", b"n,,n", b"n,,n=,r", b"x" * 9_000])
def test_a_first_message_that_is_none(body: bytes) -> None:
    with pytest.raises(Refused):
        Exchange(Verifier.of(TOKEN)).first(body)


@pytest.mark.parametrize(
    "text", ["", "md5abc", "SCRAM-SHA-1$1:AA==$AA==:AA==", "SCRAM-SHA-256$x:AA==$AA==:AA=="]
)
def test_a_verifier_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Verifier.read(text)

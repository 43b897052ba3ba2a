"""Idempotency-Key: one answer a key and day, within bounds, and another body is refused."""

import asyncio
from typing import Any

import pytest

from tilth.core.errors import InputError
from tilth.interfaces.http.once import REPLAYED, Once, Predicted, key_of

NAME = ("token:ci", "/predict/e", b"k")


class Predicting:
    """Counts how often it was asked."""

    def __init__(self, size: int = 10, fails: int = 0) -> None:
        self.count, self._size, self._fails = 0, size, fails

    async def __call__(self) -> Predicted:
        self.count += 1
        await asyncio.sleep(0)
        if self.count <= self._fails:
            raise InputError("no")
        return Predicted(b"%d" % self.count + b"x" * self._size, 3, 1)


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


@pytest.mark.parametrize(
    ("given", "key"),
    [([], None), ([b"a"], b"a"), ([b'"8e03978e-40d5"'], b'"8e03978e-40d5"'), ([b"x" * 255], b"x" * 255)],
)
def test_a_key_is_what_came(given: list[bytes], key: bytes | None) -> None:
    assert key_of([(b"host", b"x"), *((b"idempotency-key", g) for g in given)]) == key


@pytest.mark.parametrize(
    "given", [[b""], [b"a b"], [b"x" * 256], [b"x" * 10_000], [b"\xff"], [b"a", b"a"], [b"a\n"]]
)
def test_what_is_no_key_is_refused(given: list[bytes]) -> None:
    with pytest.raises(InputError, match="1 to 255 characters"):
        key_of([(b"idempotency-key", g) for g in given])


def test_the_same_request_has_the_same_answer_and_predicts_once() -> None:
    async def story() -> None:
        once, predict = Once(), Predicting()
        first = await once.answer(NAME, (b"{}", b""), predict)
        again = await once.answer(NAME, (b"{}", b""), predict)
        assert again.payload == first.payload
        assert (first.rows, again.rows, again.version) == (1, 0, 3)
        assert REPLAYED in again.more
        assert REPLAYED not in first.more
        assert (predict.count, once.replayed) == (1, 1)

    run(story())


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        (NAME, (b'{"a":1}', b"")),
        (NAME, (b"{}", b"outputs=y")),
        (NAME, (b"{", b"}")),
    ],
)
def test_another_request_with_the_same_key_is_refused(name: Any, asked: tuple[bytes, bytes]) -> None:
    async def story() -> None:
        once, predict = Once(), Predicting()
        await once.answer(NAME, (b"{}", b""), predict)
        with pytest.raises(InputError, match="another request"):
            await once.answer(name, asked, predict)
        assert predict.count == 1

    run(story())


@pytest.mark.parametrize(
    "name", [("token:b", *NAME[1:]), (NAME[0], "/predict/f", NAME[2]), (*NAME[:2], b"l")]
)
def test_keys_are_of_a_principal_and_a_path(name: Any) -> None:
    async def story() -> None:
        once, predict = Once(), Predicting()
        for one in (NAME, name):
            await once.answer(one, (b"{}", b""), predict)
        assert predict.count == 2

    run(story())


def test_requests_at_the_same_time_predict_once() -> None:
    async def story() -> None:
        once, predict = Once(), Predicting()
        found = await asyncio.gather(*(once.answer(NAME, (b"{}", b""), predict) for _ in range(20)))
        assert len({f.payload for f in found}) == 1
        assert (predict.count, sum(f.rows for f in found)) == (1, 1)

    run(story())


def test_what_failed_is_looked_at_anew_and_those_who_waited_go_on() -> None:
    async def story() -> None:
        once, predict = Once(), Predicting(fails=1)
        found = await asyncio.gather(
            *(once.answer(NAME, (b"{}", b""), predict) for _ in range(3)), return_exceptions=True
        )
        assert [type(f).__name__ for f in found] == ["InputError", "Predicted", "Predicted"]
        assert predict.count == 2

    run(story())


def test_memory_is_bounded_and_time_too() -> None:
    async def story() -> None:
        once, predict = Once(most_bytes=100_000, most=50), Predicting(size=10_000)
        for n in range(40):
            await once.answer((*NAME[:2], b"%d" % n), (b"{}", b""), predict)
        assert once._bytes <= 100_000
        assert once._bytes == sum(k.size for k in once._kept.values())
        assert once.forgotten == 40 - len(once._kept) > 20
        small = Once(most=50)
        for n in range(200):
            await small.answer((*NAME[:2], b"%d" % n), (b"{}", b""), Predicting())
        assert len(small._kept) == 50
        brief = Once(kept=-1.0)
        for _ in range(2):
            await brief.answer(NAME, (b"{}", b""), predict)
        assert predict.count == 42
        assert len(brief._kept) == 1

    run(story())

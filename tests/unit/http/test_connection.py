"""What a connection hands to the kernel, and when."""

from collections.abc import Callable

import pytest

from tilth.interfaces.http.connection import Joining


class Transport:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.seen: list[bytes | str] = []

    def write(self, piece: bytes) -> None:
        self.seen.append(piece)

    def close(self) -> None:
        self.seen.append("close")

    def is_closing(self) -> bool:
        return "close" in self.seen


HEAD, BODY = b"head ", b"body"
TURN = "the turn ends"


@pytest.mark.parametrize(
    ("steps", "sent"),
    [
        ([HEAD, BODY], [b"head body"]),
        ([HEAD, BODY, TURN], [b"head body"]),
        ([HEAD, TURN], [b"head "]),  # an answer to HEAD
        ([HEAD, b"", TURN], [b"head "]),  # an empty body
        ([b"", TURN], []),
        ([HEAD, TURN, BODY, TURN], [b"head ", b"body"]),  # a body that comes later
        ([HEAD, BODY, HEAD, BODY, TURN], [b"head body", b"head body"]),  # two requests in one packet
        ([HEAD, BODY, HEAD, TURN], [b"head body", b"head "]),
        ([HEAD, "close", TURN], [b"head ", "close"]),
        ([HEAD, BODY, "close"], [b"head body", "close"]),
    ],
)  # fmt: skip
def test_an_answer_leaves_whole_and_in_order(steps: list[bytes | str], sent: list[bytes | str]) -> None:
    transport, later = Transport(), list[Callable[[], None]]()
    joining = Joining(transport, later.append)  # type: ignore[arg-type]
    for step in steps:
        if isinstance(step, bytes):
            joining.write(step)
        elif step == "close":
            joining.close()
        else:
            while later:
                later.pop(0)()
    assert transport.seen == sent
    assert joining.is_closing() is ("close" in steps)

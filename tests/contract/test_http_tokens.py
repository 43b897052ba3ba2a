"""Tokens on a real server: one made is known within a second, one dropped is refused within a second, and none is in a file."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import http_server
import shop_project
from http_server import ROW, Up, up, wait
from tilth.core.errors import LanguageError


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(http_server.applied(tmp_path_factory.mktemp("tokens") / "shop")) as found:
        yield found


def status(server: Up, given: str, path: str = "/status") -> int:
    body = ROW if path.startswith("/predict") else None
    found = server.ask(
        "POST" if body else "GET", path, body, {"Authorization": f"Bearer {given}"}, token=False
    )
    return found.status


def test_a_token_is_let_in_within_a_second_and_out_within_a_second(server: Up) -> None:
    project = shop_project.opened(server.folder)
    given = str(project.sql("CREATE TOKEN 'grafana' FOR reader").facts["token"])
    began = time.monotonic()
    wait(lambda: status(server, given) == 200)
    assert time.monotonic() - began < 1
    assert [status(server, given, p) for p in ("/metrics", "/predict/late_api", "/v2")] == [200, 403, 403]
    wait(lambda: project.sql("SELECT used_on FROM tilth.tokens").rows()[0]["used_on"])
    project.sql("DROP TOKEN 'grafana'")
    began = time.monotonic()
    wait(lambda: status(server, given) == 401)
    assert time.monotonic() - began < 1
    said = server.ask("GET", "/status", headers={"Authorization": f"Bearer {given}"}, token=False)
    assert "The token `grafana` was dropped" in said.error
    kept = [p for p in server.folder.rglob("*") if p.is_file() and given.encode() in p.read_bytes()]
    assert not kept
    project.close()


def test_a_predictor_predicts(server: Up) -> None:
    project = shop_project.opened(server.folder)
    given = str(project.sql("CREATE TOKEN 'shop' FOR predictor").facts["token"])
    project.close()
    wait(lambda: status(server, given, "/predict/late_api") == 200)
    assert [status(server, given, p) for p in ("/v2", "/status", "/metrics")] == [200, 403, 403]
    assert status(server, server.token) == 200  # the one in the home stays its owner's


def test_a_token_of_another_project_is_told_so(server: Up, tmp_path: Path) -> None:
    other = shop_project.opened(shop_project.make(tmp_path / "other"))
    given = str(other.sql("CREATE TOKEN 'x' FOR owner").facts["token"])
    other.close()
    found = server.ask("GET", "/status", headers={"Authorization": f"Bearer {given}"}, token=False)
    assert found.status == 401
    assert "This token is of another project." in found.error


def test_a_file_of_a_project_holds_no_token(tmp_path: Path) -> None:
    folder = shop_project.make(tmp_path / "shop")
    (folder / "tokens.sql").write_text("CREATE TOKEN 'ci' FOR reader;")
    with pytest.raises(LanguageError, match="a file would hold no secret") as raised:
        shop_project.opened(folder).graph()
    assert "tokens.sql" in str(raised.value)

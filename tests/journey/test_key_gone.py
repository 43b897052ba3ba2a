"""A server whose project lost its private key serves what verifies with the public one, and its commands say the loss."""

from pathlib import Path

import pytest

import http_server as h
import shop_project as c
from tilth.core.errors import StateChangedError


def test_what_was_signed_is_served_and_nothing_new_is_signed(tmp_path: Path) -> None:
    folder = h.applied(tmp_path / "shop")
    keys = folder / ".tilth" / "keys"
    (keys / "signing_key.pem").unlink()
    public = (keys / "signing_key.pub").read_bytes()
    with h.up(folder) as server:
        found = server.predict()
        assert found.status == 200, found.body
        project = c.opened(folder)
        assert project.sql("SELECT count(*) AS n FROM deliveries").rows()
        with pytest.raises(StateChangedError, match=r"signing_key.pem is gone") as caught:
            project.sql("RETRAIN MODEL duration USING (seed = 8)")
        assert "tilth restore FILE" in str(caught.value.hint)
        project.close()
        assert server.predict().status == 200
    assert [p.name for p in keys.iterdir()] == ["signing_key.pub"]
    assert (keys / "signing_key.pub").read_bytes() == public
    with h.up(folder) as server:
        assert server.predict().status == 200

"""The token's file, over a daemon that was killed while it made one."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_lvr1.config import Settings
from edge_lvr1.daemon.http.tokens import load_token


@pytest.mark.parametrize("made", [True, False])
def test_what_a_killed_daemon_left_beside_its_token_is_removed(tmp_path: Path, made: bool) -> None:
    settings = Settings(data=tmp_path)
    before = load_token(settings) if made else None
    (tmp_path / ".web-token.77").write_text("half a tok")

    token = load_token(settings)

    assert before in (None, token)
    assert [path.name for path in tmp_path.iterdir()] == ["web-token"]

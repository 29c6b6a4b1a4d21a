"""Secrets that a service manager hands over."""

from __future__ import annotations

from pathlib import Path

from edge_lvr1.config import Access, Settings
from edge_lvr1.daemon.host.credentials import API_KEY, TOKEN, with_credentials


def test_files_of_the_service_manager_are_the_settings_files(tmp_path: Path) -> None:
    (tmp_path / TOKEN).write_text("a token\n")
    (tmp_path / API_KEY).write_text("a key\n")

    found = with_credentials(Settings(data=tmp_path), {"CREDENTIALS_DIRECTORY": str(tmp_path)})

    assert found.access.token_file == tmp_path / TOKEN
    assert found.server.api_key_file == tmp_path / API_KEY


def test_file_that_the_settings_name_goes_first(tmp_path: Path) -> None:
    (tmp_path / TOKEN).write_text("a token\n")
    own = Settings(data=tmp_path, access=Access(token_file=Path("/own")))

    found = with_credentials(own, {"CREDENTIALS_DIRECTORY": str(tmp_path)})

    assert found.access.token_file == Path("/own")


def test_no_secret_is_made_of_what_is_absent_or_none(tmp_path: Path) -> None:
    (tmp_path / TOKEN).write_text("none")
    (tmp_path / API_KEY).write_text("\n")
    settings = Settings(data=tmp_path)

    for environment in ({}, {"CREDENTIALS_DIRECTORY": str(tmp_path)}):
        assert with_credentials(settings, environment) == settings

"""Settings: order of sources, and what unknown or bad ones say."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_lvr1 import config
from edge_lvr1.errors import SettingsError


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in (*config.known_keys(), "config"):
        monkeypatch.delenv(config.ENV_PREFIX + key.replace(".", "__").upper(), raising=False)


def settings_file(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "edge.toml"
    file.write_text(text, "utf-8")
    return file


def test_file_beats_defaults_environment_beats_file_and_flags_beat_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = settings_file(
        tmp_path, "[ingest]\nsettle_s = 1\nrescan_s = 11\nmax_attempts = 7\n[tree]\nwords_low = 9\n"
    )
    monkeypatch.setenv("EDGE_LVR1_INGEST__SETTLE_S", "2")
    monkeypatch.setenv("EDGE_LVR1_INGEST__RESCAN_S", "12")

    settings = config.load({"ingest": {"settle_s": 3.0}}, file)

    assert settings.ingest.settle_s == 3.0
    assert settings.ingest.rescan_s == 12.0
    assert settings.ingest.max_attempts == 7
    assert settings.tree.words_low == 9
    assert settings.tree.words_high == config.Settings().tree.words_high


def test_flags_that_were_not_given_leave_the_setting_alone(tmp_path: Path) -> None:
    file = settings_file(tmp_path, 'socket = "/run/a.sock"\nwatch = ["/footage"]\n')

    settings = config.load({"socket": None, "watch": (), "ingest": {"settle_s": None}}, file)

    assert settings.socket_path == Path("/run/a.sock")
    assert settings.watch == (Path("/footage"),)


def test_socket_stands_beside_the_data_by_default() -> None:
    settings = config.load({"data": Path("/srv/edge")})

    assert settings.socket_path == Path("/srv/edge/edge-lvr1.sock")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[ingest]\nsetle_s = 1\n",
            "unknown setting ingest.setle_s; did you mean ingest.settle_s?",
        ),
        ("dta = '/x'\n", "unknown setting dta; did you mean data?"),
        ("[ingest]\nsettle_s = -1\n", "ingest.settle_s cannot be -1"),
        ("[models]\nagent = 'gpt'\n", "models.agent cannot be 'gpt'"),
        ("[ingest\n", "cannot be read"),
    ],
)
def test_bad_settings_file_is_told_in_one_sentence(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as error:
        config.load(file=settings_file(tmp_path, text))

    assert told in str(error.value)


def test_missing_settings_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no settings file"):
        config.load(file=tmp_path / "none.toml")


def test_unknown_environment_name_is_told_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_LVR1_INGEST__SETLE_S", "2")

    with pytest.raises(SettingsError, match="did you mean EDGE_LVR1_INGEST__SETTLE_S"):
        config.load()


def test_settings_file_may_be_named_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(config.ENV_CONFIG, str(settings_file(tmp_path, "log_level = 'DEBUG'\n")))

    assert config.load().log_level == "DEBUG"

"""From settings to backends: what each setting gives, and what is said where one is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_lvr1.config import Models, ModelServer, Settings, Tree
from edge_lvr1.domain import Level
from edge_lvr1.errors import BundleError, SettingsError
from edge_lvr1.models.base import TWO_TOOLS, tools_of
from edge_lvr1.models.load import load_backends, looks_of


def settings(tmp_path: Path, models: Models, server: ModelServer | None = None) -> Settings:
    return Settings(data=tmp_path, models=models, server=server or ModelServer())


def test_the_default_needs_nothing_and_holds_no_weights(tmp_path: Path) -> None:
    found = load_backends(settings(tmp_path, Models()))

    assert found.captioner.name == found.agent.name == "embedded"
    assert found.residency.states() == []


@pytest.mark.parametrize("role", ["agent", "captioner"])
def test_onnx_without_a_bundle_says_which_setting_is_missing(tmp_path: Path, role: str) -> None:
    with pytest.raises(SettingsError, match=rf"needs models\.{role}_bundle"):
        load_backends(settings(tmp_path, Models.model_validate({role: "onnx"})))


def test_onnx_with_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    models = Models(agent="onnx", agent_bundle=tmp_path)

    with pytest.raises(BundleError, match=r"manifest\.json|bundle"):
        load_backends(settings(tmp_path, models))


def test_roles_are_chosen_apart(tmp_path: Path) -> None:
    found = load_backends(settings(tmp_path, Models(agent="server")))

    assert found.captioner.name == "embedded"
    assert "server" in found.agent.name or "127.0.0.1" in found.agent.name


def test_a_key_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    server = ModelServer(api_key_file=tmp_path / "none")

    with pytest.raises(SettingsError, match=r"server\.api_key_file cannot be read"):
        load_backends(settings(tmp_path, Models(captioner="server"), server))


def test_the_word_budgets_of_the_settings_reach_the_embedded_captioner(tmp_path: Path) -> None:
    few = settings(tmp_path, Models()).model_copy(update={"tree": Tree(words_low=7)})

    captioner = load_backends(few).captioner

    assert captioner.words[Level.LOW] == 7  # type: ignore[attr-defined]


def test_looks_follow_the_settings() -> None:
    looks = looks_of(Tree(frames_high=5, side_px_medium=99, words_low=11))

    assert looks[Level.HIGH].frames == 5
    assert looks[Level.MEDIUM].max_side_px == 99
    assert looks[Level.LOW].words == 11


def test_a_server_agent_knows_the_tools_that_the_settings_name(tmp_path: Path) -> None:
    more = ModelServer(agent_tools=("get_caption", "video_qa", "search_captions"))

    plain = load_backends(settings(tmp_path, Models(agent="server"))).agent
    knowing = load_backends(settings(tmp_path, Models(agent="server"), more)).agent

    assert tools_of(plain) == TWO_TOOLS
    assert tools_of(knowing) == TWO_TOOLS | {"search_captions"}

"""From settings to backends: the one place where they are chosen by name.

A backend is imported when it is chosen, so that the others need not be installed. What holds
weights is loaded once, whoever uses it, and leaves when others need its room.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_lvr1.config import Settings, Tree
from edge_lvr1.domain import Caption, Level
from edge_lvr1.errors import SettingsError
from edge_lvr1.models.base import Agent, Captioner, Embedder, Finder
from edge_lvr1.models.looking import Look
from edge_lvr1.models.residency import LoadableAgent, Residency, ResidentAgent, ResidentCaptioner

if TYPE_CHECKING:
    from edge_lvr1.models.chat_server import ChatServer


@dataclass(frozen=True, slots=True)
class Backends:
    """Captioner and agent, both safe to use by two threads, and who of them is in memory.

    With an embedder, search goes by meaning as well.
    """

    captioner: Captioner
    agent: Agent
    residency: Residency
    embedder: Embedder | None = None


def load_backends(settings: Settings) -> Backends:
    """The backends that the settings name; weights are loaded at their first use.

    Raises SettingsError where a setting is missing, BundleError for a bundle that cannot be
    run, ModelError for one that can never fit.
    """
    residency = Residency(settings.models.memory_limit_mb)
    return Backends(
        captioner=load_captioner(settings, residency),
        agent=load_agent(settings, residency),
        residency=residency,
        embedder=load_embedder(settings),
    )


def load_captioner(settings: Settings, residency: Residency) -> Captioner:
    """The captioner that the settings name."""
    models, tree = settings.models, settings.tree
    if models.captioner == "embedded":
        from edge_lvr1.models.embedded.vision.captioner import EmbeddedCaptioner

        return EmbeddedCaptioner(tree.words_low, tree.words_medium, tree.words_high)
    if models.captioner == "server":
        from edge_lvr1.models.server import ServerCaptioner

        url = settings.server.captioner_url or settings.server.url
        server = _chat_server(settings, url, settings.server.captioner_model)
        return ServerCaptioner(server, looks_of(tree))
    from edge_lvr1 import bundle
    from edge_lvr1.models.onnx.captioner import OnnxCaptioner

    path = _given(models.captioner_bundle, "captioner")
    found = bundle.load(path, "captioner", allow_failed=models.allow_failed)
    captioner = OnnxCaptioner(found, models.provider, looks_of(tree), threads=models.threads)
    residency.add("captioner", captioner.name, captioner)
    return ResidentCaptioner(captioner, residency)


def load_agent(settings: Settings, residency: Residency) -> Agent:
    """The agent that the settings name."""
    models = settings.models
    if models.agent == "embedded":
        from edge_lvr1.models.embedded.retrieval.agent import EmbeddedAgent

        return EmbeddedAgent()
    if models.agent == "server":
        from edge_lvr1.models.server import ServerAgent

        server = _chat_server(settings, settings.server.url, settings.server.agent_model)
        return ServerAgent(
            server,
            constraint="auto" if models.legal_moves else "none",
            tools=settings.server.agent_tools,
        )
    from edge_lvr1 import bundle
    from edge_lvr1.models.onnx.agent import AgentSettings, OnnxAgent

    path = _given(models.agent_bundle, "agent")
    found = bundle.load(path, "agent", allow_failed=models.allow_failed)
    chosen = AgentSettings(
        provider=models.provider,
        context_tokens=models.context_tokens,
        legal_moves=models.legal_moves,
        seed=models.seed,
        threads=models.threads,
    )
    inner = OnnxAgent(found, chosen)
    agent = ResidentAgent(inner, residency)
    residency.add("agent", inner.name, LoadableAgent(inner, agent))
    return agent


def tree_of(settings: Settings) -> Tree:
    """How trees are built, with what is left to the captioner decided.

    Only the embedded captioner writes parents from their children; a model that looks begins
    with the widest, so that a recording can be asked early.
    """
    if settings.tree.parents != "auto":
        return settings.tree
    parents = "fold" if settings.models.captioner == "embedded" else "frames"
    return settings.tree.model_copy(update={"parents": parents})


def index_of(captions: Iterable[Caption], embedder: Embedder | None) -> Finder:
    """An index of one tree's captions, in memory; with an embedder, by meaning too."""
    from edge_lvr1.models.embedded.retrieval.index import TreeIndex

    return TreeIndex.of(captions, embedder)


def load_embedder(settings: Settings) -> Embedder | None:
    """The embedder that the settings name; None where they name none. Raises BundleError."""
    path = settings.models.embedder_bundle
    if path is None:
        return None
    from edge_lvr1 import bundle
    from edge_lvr1.models.onnx.embedder import OnnxEmbedder

    found = bundle.load(path, "embedder", allow_failed=settings.models.allow_failed)
    return OnnxEmbedder(found, settings.models.provider, settings.models.threads)


def remembering(embedder: Embedder | None) -> Embedder | None:
    """The embedder with a memory for texts that come again, as the passages of a tree do."""
    from edge_lvr1.models.embedded.retrieval.remembered import RememberingEmbedder

    return None if embedder is None else RememberingEmbedder(embedder)


def looks_of(tree: Tree) -> dict[Level, Look]:
    """How much a vision-language model is shown and may say at each level."""
    return {
        Level.LOW: Look(tree.frames_low, tree.side_px_low, tree.words_low),
        Level.MEDIUM: Look(tree.frames_medium, tree.side_px_medium, tree.words_medium),
        Level.HIGH: Look(tree.frames_high, tree.side_px_high, tree.words_high),
    }


def _given(path: Path | None, role: str) -> Path:
    if path is None:
        raise SettingsError(
            f"models.{role} is onnx, which needs models.{role}_bundle: the folder that "
            f"`edge-lvr1 export {role}` wrote"
        )
    return path


def _chat_server(settings: Settings, url: str, model: str) -> ChatServer:
    from edge_lvr1.models.chat_server import ChatServer, Endpoint

    key = ""
    if settings.server.api_key_file is not None:
        try:
            key = settings.server.api_key_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"server.api_key_file cannot be read: {error}") from error
    return ChatServer(Endpoint(url, model, key, ca_file=settings.server.ca_file))

"""The agent on onnxruntime-genai: a Qwen3 bundle that an export wrote.

Weights are loaded when the first conversation begins, and can be let go between
conversations. Only one copy is in memory, whoever asks.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, fields, replace
from typing import Any

from edge_lvr1.bundle import Bundle
from edge_lvr1.errors import BundleError
from edge_lvr1.models.base import Finder
from edge_lvr1.models.onnx.chat import Chat
from edge_lvr1.models.onnx.genai import LoadedModel, load_model
from edge_lvr1.models.onnx.session import Limits, OnnxAgentSession, Sampling, piece_tokens

log = logging.getLogger(__name__)

RUNTIME = "onnxruntime-genai"
SYSTEM_PROMPT = "system"
"""The name, among a bundle's prompts, of the wording of the system turn."""


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What the operator may choose; None leaves it as the bundle says."""

    provider: str | None = None
    context_tokens: int | None = None
    thought_tokens: int = 512
    reply_tokens: int = 1024
    legal_moves: bool = True
    do_sample: bool | None = None
    temperature: float | None = None
    seed: int | None = None
    threads: int | None = None


class OnnxAgent:
    """An Agent whose conversations run on onnxruntime-genai."""

    def __init__(
        self, bundle: Bundle, settings: AgentSettings | None = None, *, own_system: bool = True
    ) -> None:
        self.name = f"onnx {bundle.path.name}"
        self._bundle = bundle
        self._settings = settings or AgentSettings()
        self._own_system = own_system  # the bundle's wording stands in for the caller's
        self._loaded: LoadedModel | None = None
        self._loading = threading.Lock()

    @property
    def provider(self) -> str:
        """Where it runs: cpu, cuda or tensorrt-rtx."""
        return self._settings.provider or self._bundle.manifest.target

    @property
    def tools(self) -> frozenset[str]:
        """The tools that the bundle declares."""
        return frozenset(self._bundle.manifest.tools)

    @property
    def memory_mb(self) -> int:
        """Memory that it needs when loaded, with one conversation, in MiB."""
        return self._bundle.manifest.memory_estimate_mb

    @property
    def is_loaded(self) -> bool:
        """Whether its weights are in memory."""
        return self._loaded is not None

    def load(self) -> None:
        """Bring the weights into memory, if they are not. Raises ModelError."""
        self._model()

    def unload(self) -> None:
        """Let the weights go; conversations that are open keep them until they close."""
        with self._loading:
            self._loaded = None

    def open(self, finder: Finder | None = None) -> OnnxAgentSession:
        """Begin a conversation; the model reads its turns alone. Raises ModelError."""
        manifest = self._bundle.manifest
        return OnnxAgentSession(
            self._model(),
            Chat.from_extra(manifest.extra),
            self._sampling(),
            self._limits(),
            system=manifest.prompts.get(SYSTEM_PROMPT) if self._own_system else None,
        )

    def _model(self) -> LoadedModel:
        with self._loading:
            if self._loaded is None:
                if self._bundle.runtime != RUNTIME:
                    raise BundleError(
                        f"{self._bundle.path} is for {self._bundle.runtime}, not for {RUNTIME}"
                    )
                self._loaded = load_model(
                    self._bundle.path,
                    self.provider,
                    seed=self._seed(),
                    threads=self._settings.threads,
                )
            return self._loaded

    def _seed(self) -> int:
        if self._settings.seed is not None:
            return self._settings.seed
        return int(self._bundle.manifest.sampling.get("seed", 0))

    def _sampling(self) -> Sampling:
        defaults: dict[str, Any] = dict(self._bundle.manifest.sampling)
        known = {entry.name for entry in fields(Sampling)}
        sampling = Sampling(**{name: defaults[name] for name in known & set(defaults)})
        chosen = {
            name: value
            for name in ("do_sample", "temperature")
            if (value := getattr(self._settings, name)) is not None
        }
        return replace(sampling, **chosen)

    def _limits(self) -> Limits:
        manifest = self._bundle.manifest
        longest = manifest.context_tokens
        return Limits(
            context_tokens=min(longest, self._settings.context_tokens or longest),
            thought_tokens=self._settings.thought_tokens,
            reply_tokens=self._settings.reply_tokens,
            legal_moves=self._settings.legal_moves,
            piece_tokens=piece_tokens(int(manifest.extra.get("parameters", 0)), self.provider),
        )

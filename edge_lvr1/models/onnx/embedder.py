"""Sentence vectors from an exported embedder, with onnxruntime and tokenizers alone."""

from __future__ import annotations

import hashlib
import importlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.bundle import Bundle
from edge_lvr1.errors import BundleError, ModelError
from edge_lvr1.models.onnx.engine import Engine, engine_file
from edge_lvr1.models.onnx.providers import open_session

log = logging.getLogger(__name__)

GRAPH, TOKENIZER = "model.onnx", "tokenizer.json"
POOLINGS = ("mean", "cls")
BATCH = 32


@dataclass(frozen=True, slots=True)
class EmbedderFacts:
    """How token states become a sentence's vector, from a manifest's `extra`."""

    dimension: int
    max_tokens: int
    pooling: str = "mean"
    normalize: bool = True

    @classmethod
    def of(cls, extra: Mapping[str, Any]) -> EmbedderFacts:
        """Read what an export wrote. Raises BundleError."""
        try:
            facts = cls(
                dimension=int(extra["dimension"]),
                max_tokens=int(extra["max_tokens"]),
                pooling=str(extra["pooling"]),
                normalize=bool(extra["normalize"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(
                f"the bundle does not say how its vectors are made ({error}): export it again"
            ) from None
        if facts.pooling not in POOLINGS or min(facts.dimension, facts.max_tokens) < 1:
            raise BundleError(f"the bundle's vectors are of an unknown kind: {facts}")
        return facts


class OnnxEmbedder:
    """Texts to vectors. Loads at its first use; `provider` overrides the bundle's target."""

    def __init__(
        self, bundle: Bundle, provider: str | None = None, threads: int | None = None
    ) -> None:
        self.bundle = bundle
        self.facts = EmbedderFacts.of(bundle.manifest.extra)
        self.name = f"onnx: {bundle.manifest.source} {_fingerprint(bundle)}"
        self.dim = self.facts.dimension
        self.memory_mb = bundle.manifest.memory_estimate_mb
        self.provider = provider or bundle.manifest.target
        self.threads = threads
        self._session: Any = None
        self._tokenizer: Any = None

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._session is not None

    def unload(self) -> None:
        """Give the memory back; the next call loads again."""
        self._session = self._tokenizer = None

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One vector for each text: float32 of shape (texts, dim). Raises ModelError.

        A text longer than the model reads counts by its beginning.
        """
        vectors = np.zeros((len(texts), self.dim), np.float32)
        if not texts:
            return vectors
        self._load()
        encoded = self._tokenizer.encode_batch(list(texts))
        by_length = sorted(range(len(texts)), key=lambda index: len(encoded[index].ids))
        for begin in range(0, len(by_length), BATCH):
            chosen = by_length[begin : begin + BATCH]
            vectors[chosen] = self._vectors([encoded[index] for index in chosen])
        return vectors

    def _vectors(self, encoded: Sequence[Any]) -> NDArray[np.float32]:
        length = max(1, *(len(one.ids) for one in encoded))
        ids = np.zeros((len(encoded), length), np.int64)
        mask = np.zeros_like(ids)
        for row, one in enumerate(encoded):
            ids[row, : len(one.ids)] = one.ids
            mask[row, : len(one.ids)] = 1
        given = {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(ids),
        }
        wanted = {entry.name for entry in self._session.get_inputs()}
        states = self._session.run(
            [self._session.get_outputs()[0].name],
            {name: value for name, value in given.items() if name in wanted},
        )[0]
        return pool(states, mask, self.facts)

    def _opened(self) -> Any:  # noqa: ANN401 (onnxruntime has no types)
        engine = engine_file(self.bundle, GRAPH) if self.provider == "tensorrt" else None
        if engine is not None:
            return Engine(engine)
        return open_session(self.bundle.path / GRAPH, self.provider, self.threads)

    def _load(self) -> None:
        if self._session is not None:
            return
        try:
            package: Any = importlib.import_module("tokenizers")
        except ImportError as error:
            raise ModelError(
                f"the onnx embedder needs the package tokenizers, which cannot be loaded "
                f"({error}): install edge-lvr1 with its extra 'cpu' or 'gpu'"
            ) from error
        tokenizer = package.Tokenizer.from_file(str(self.bundle.path / TOKENIZER))
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length=self.facts.max_tokens)
        # The session last: another thread takes it for the sign that all is loaded.
        self._tokenizer = tokenizer
        self._session = self._opened()


def _fingerprint(bundle: Bundle) -> str:
    """Tells bundles with other weights apart, whose vectors cannot be compared."""
    files = "".join(f"{name}{digest}" for name, digest in sorted(bundle.manifest.files.items()))
    return hashlib.sha256(files.encode()).hexdigest()[:12]


def pool(
    states: NDArray[np.float32], mask: NDArray[np.int64], facts: EmbedderFacts
) -> NDArray[np.float32]:
    """Vectors [texts, dim] of token states [texts, tokens, dim], padding left out."""
    if facts.pooling == "cls":
        vectors = states[:, 0]
    else:
        weights = mask[:, :, None].astype(np.float32)
        vectors = (states * weights).sum(1) / np.maximum(weights.sum(1), 1e-9)
    if facts.normalize:
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.asarray(vectors, np.float32)

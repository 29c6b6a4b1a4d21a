"""Vectors as small numbers: int8 for exact cosines, signs for a quick look at all. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def encode(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """Vectors [n, dim] as int8, each as long as fits; one that is 0 stays 0."""
    longest = np.abs(vectors).max(axis=1, initial=0, keepdims=True)
    scaled = vectors * (127 / np.where(longest > 0, longest, 1))
    return np.rint(scaled).astype(np.int8)


def cosine(vectors: NDArray[np.int8], unit: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosines of int8 vectors [n, dim] with a unit vector [dim]; of one that is 0, 0."""
    wide = vectors.astype(np.float32)
    lengths = np.sqrt(np.einsum("nd,nd->n", wide, wide))
    found = np.asarray((wide @ unit) / np.where(lengths > 0, lengths, 1), np.float64)
    return np.round(found, 6)  # float32 tells no more; equal vectors are to be equal


def signs(vectors: NDArray[np.int8] | NDArray[np.float32]) -> NDArray[np.uint64]:
    """The signs of vectors [n, dim] as bits, uint64 [dim / 64 rounded up, n]."""
    count, dim = vectors.shape
    bits = np.zeros((count, -(-dim // 64) * 64), np.bool_)
    bits[:, :dim] = vectors > 0
    packed = np.packbits(bits, axis=1, bitorder="little").view("<u8")
    return np.ascontiguousarray(packed.T)


def differing(sign_bits: NDArray[np.uint64], asked: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """In how many signs vectors differ from the query's; word by word: it stays in cache."""
    apart = np.zeros(sign_bits.shape[1], np.uint16)
    for row, word in zip(sign_bits, asked, strict=True):
        apart += np.bitwise_count(row ^ word)
    return apart


def least(apart: NDArray[np.uint16], most: int) -> NDArray[np.int64]:
    """Indices of the `most` least values, ascending; of equal ones at the edge the first."""
    if len(apart) <= most:
        return np.arange(len(apart), dtype=np.int64)
    edge = int(np.searchsorted(np.cumsum(np.bincount(apart)), most))
    found = np.flatnonzero(apart <= edge)
    surplus = len(found) - most
    if surplus:
        at_edge = np.flatnonzero(apart[found] == edge)
        found = np.delete(found, at_edge[len(at_edge) - surplus :])
    return found

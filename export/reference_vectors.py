"""Run by the tool's Python, not by ours: the sentence vectors of the original model.

    python reference_vectors.py MODEL_FOLDER SENTENCES.json VECTORS.npy

Its own tokenizer, torch in float32, one sentence at a time: what an export is held against.
SENTENCES.json holds `sentences`, `pooling`, `normalize` and `max_tokens`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(model: str, request: str, out: str) -> None:
    """Write float32 vectors of shape (sentences, dimension)."""
    import numpy as np
    import torch
    from transformers import AutoModel, AutoTokenizer

    asked = json.loads(Path(request).read_text("utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModel.from_pretrained(model, torch_dtype=torch.float32).eval()
    vectors = []
    with torch.inference_mode():
        for sentence in asked["sentences"]:
            tokens = tokenizer(
                sentence, truncation=True, max_length=asked["max_tokens"], return_tensors="pt"
            )
            states = network(**tokens).last_hidden_state[0]
            vector = states[0] if asked["pooling"] == "cls" else states.mean(0)
            if asked["normalize"]:
                vector = torch.nn.functional.normalize(vector, dim=0)
            vectors.append(vector.numpy())
    np.save(out, np.stack(vectors))


if __name__ == "__main__":
    main(*sys.argv[1:4])

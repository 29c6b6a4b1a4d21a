"""The default backend: OpenCV captioner and retrieval agent. No weights, no GPU, no network."""

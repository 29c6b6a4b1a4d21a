"""Backends that run exported bundles on ONNX Runtime."""

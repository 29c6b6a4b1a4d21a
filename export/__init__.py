"""Conversion of fine-tuned checkpoints into bundles that the daemon runs."""

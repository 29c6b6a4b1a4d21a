"""Measuring: questions of public formats, asked of caption trees, scored and told."""

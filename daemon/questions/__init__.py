"""From a question that was asked to its answer."""

"""Caption trees: how a recording is divided, and how the captions get written."""

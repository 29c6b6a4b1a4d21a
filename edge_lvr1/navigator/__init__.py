"""The low-round loop that answers a question from a caption tree."""

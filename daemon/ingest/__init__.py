"""From a file to a recording with a complete caption tree."""

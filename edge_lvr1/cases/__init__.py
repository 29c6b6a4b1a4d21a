"""Evidence that can be shown elsewhere: case folders, and whether footage is what it was."""

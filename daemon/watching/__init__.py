"""The watched folders: what is in them, what happens there, and whether they are there at all."""

"""The main job once, end to end, on footage whose truth is known."""

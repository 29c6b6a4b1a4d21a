"""Reading media files: what they are, their frames, their clips. Decodes with PyAV only."""

"""The embedded captioner: what OpenCV can see of a fixed camera's footage."""

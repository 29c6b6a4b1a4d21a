"""The service: watches folders, builds trees, answers questions over a local socket."""

"""The socket: who may do what, within which limits, and the routes."""

"""Captioners and agents: the Protocols, and one folder or module a backend."""

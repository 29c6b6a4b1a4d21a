"""The units of a systemd installation, how they are installed, and how they are checked."""

"""What passes between the daemon and systemd: readiness, sockets, the journal, credentials."""

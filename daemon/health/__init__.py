"""How the daemon is: faults, room, signs of life, numbers."""

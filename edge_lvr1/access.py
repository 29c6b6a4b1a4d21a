"""Who asks, and what they may do: words that the daemon, the audit log and the CLI share.

Standard library only. Which groups have which role is a setting; finding out who somebody is
happens in the daemon.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Role(str, Enum):
    """What somebody may do; each role includes those before it."""

    NONE = "none"
    ASK = "ask"  # ask questions, and look at footage, trees, status
    INGEST = "ingest"  # have files taken in, and tried again
    ADMIN = "admin"  # hold, release and remove recordings; see everybody's questions end

    def allows(self, wanted: Role) -> bool:
        """Whether this role includes another."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(wanted)


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody, as the kernel or a token tells; the numbers are None where nothing tells them.

    `via` is "socket" (a peer on the UNIX socket), "tcp" (a token over loopback TCP or a
    proxy), "command" (somebody at a terminal) or "daemon" (the program itself).
    """

    via: str
    uid: int | None = None
    gid: int | None = None
    pid: int | None = None
    name: str = ""

    @property
    def client(self) -> str:
        """What limits and idempotency keys are counted by: the user, or the way in."""
        return f"uid:{self.uid}" if self.uid is not None else self.via


DAEMON = Who("daemon", name="the daemon")

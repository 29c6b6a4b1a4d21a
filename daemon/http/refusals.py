"""Refused requests in the audit log and the daemon's own, few enough not to fill the disk."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from edge_lvr1.access import Who
from edge_lvr1.daemon.http.access_rules import told_who
from edge_lvr1.daemon.http.limits import Buckets
from edge_lvr1.errors import EdgeLvr1Error
from edge_lvr1.store.audit import AuditLog

log = logging.getLogger(__name__)

KIND = "request.refused"
_AT_ONCE, _PER_S = 10, 1 / 600
_MOST_CHARS = 200
_MOST_CLIENTS = 1000


class Refusals:
    """Notes refusals: of each client ten at once, then one in ten minutes; the rest are counted."""

    def __init__(self, audit: AuditLog, clock: Callable[[], float]) -> None:
        self._audit = audit
        self._buckets = Buckets(_PER_S, _AT_ONCE, clock)
        self._untold: Counter[str] = Counter()

    def due(self, who: Who) -> int | None:
        """How many refusals of a client went untold before this one; None where it does too."""
        if self._buckets.take(who.client) > 0:
            if who.client in self._untold or len(self._untold) < _MOST_CLIENTS:
                self._untold[who.client] += 1
            return None
        return self._untold.pop(who.client, 0)

    def note(self, who: Who, method: str, path: str, status: int, untold: int) -> None:
        """Write one down. `path` has no query: that may hold a token."""
        asked = f"{method[:20]} {path[:_MOST_CHARS]!a}"
        more = f" ({untold} more before)" if untold else ""
        log.warning("refused %s to %s%s", asked, told_who(who), more)
        try:
            self._audit.add(
                KIND, who, method=method[:20], path=path[:_MOST_CHARS], status=status, before=untold
            )
        except EdgeLvr1Error as error:
            log.warning("the refusal is not in the audit log: %s", error)

"""The operations of the daemon, from its own description, each asked rightly."""

from __future__ import annotations

from typing import Any

_BODIES = {
    "/v1/questions": '{"question":"Is there a lorry?"}',
    "/v1/ingest": '{"path":"/etc/passwd"}',
}


def operations(described: dict[str, Any]) -> list[list[str]]:
    """Each operation as [method, path with its required parameters, JSON body or ""]."""
    found = []
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            where, query = path, []
            for one in operation.get("parameters", ()):
                number = one["schema"].get("type") in ("integer", "number")
                value = "1" if number else "none"
                if one["in"] == "path":
                    where = where.replace(f"{{{one['name']}}}", value)
                elif one["in"] == "query" and one["required"]:
                    query.append(f"{one['name']}={value}")
            body = _BODIES.get(path, "{}") if "requestBody" in operation else ""
            where += f"?{'&'.join(query)}" if query else ""
            found.append([method.upper(), where, body])
    return found

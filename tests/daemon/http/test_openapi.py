"""schemathesis against the daemon's own description: no server error, and nothing undescribed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import requests

from edge_lvr1.config import Access, Limits
from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.http.api import create_app
from edge_lvr1.domain import Recording
from tests.daemon.serving import serving

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is in the extra dev")

TOKEN = "a-token-that-nobody-guesses-0123456789"
SEED = 20261
FEW, MANY = 3, 100
WITHIN_S = 30.0


@pytest.fixture
def address(context: Context, recording: Recording, tmp_path: Path) -> Iterator[str]:
    """A server over an archive with one recording, open to an admin with the token."""
    given = {
        "access": Access(token_role="admin"),
        "limits": Limits(requests_per_s=1e6, burst=10**6),
    }
    context = replace(context, settings=context.settings.model_copy(update=given))
    app = create_app(context, TOKEN)
    with serving(app, given["limits"], tmp_path / "sock") as port:
        yield f"http://127.0.0.1:{port}"


def checked(address: str, examples: int) -> int:
    """Send so many requests to each operation, right and wrong ones; how many in all."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json", headers=headers)
    sent = 0
    with requests.Session() as session:
        session.trust_env = False
        for found in schema.get_all_operations():
            operation = found.ok()
            takes = operation.definition.raw.keys() & {"parameters", "requestBody"}
            # One that takes nothing cannot be asked wrongly.
            modes = list(schemathesis.GenerationMode) if takes else [None]
            for mode in modes:
                wanted = {} if mode is None else {"generation_mode": mode}
                cases = operation.as_strategy(**wanted)
                sent += _sent(cases, session, headers, examples)
    return sent


def _sent(cases: Any, session: requests.Session, headers: dict[str, str], examples: int) -> int:
    sent = 0
    checks = [schemathesis.checks.not_a_server_error]

    @hypothesis.seed(SEED)
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(case=cases)
    def send(case: Any) -> None:
        nonlocal sent
        # Their streams end with the question, and none is ever answered here.
        if case.method == "GET" and case.path.endswith("/events"):
            case.path_parameters = {"question_id": "none"}
        answer = case.call(session=session, headers=headers, timeout=WITHIN_S)
        sent += 1
        case.validate_response(answer, checks=checks)
        if answer.status_code >= 400:
            assert list(answer.json()) == ["error"], answer.text

    # Where any text will do, such as a question's id, nothing is wrong to send.
    with contextlib.suppress(hypothesis.errors.Unsatisfiable):
        send()
    return sent


def test_no_operation_answers_with_a_server_error(address: str) -> None:
    assert checked(address, FEW) > 100


@pytest.mark.reliability
@pytest.mark.timeout(1800)
def test_no_operation_answers_with_a_server_error_in_thousands_of_requests(address: str) -> None:
    print(f"{checked(address, MANY)} requests")

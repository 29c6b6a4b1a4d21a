"""What a verification found: figures, the thresholds they were held to, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure must keep to; None leaves a side open. `says` is the figure in words."""

    says: str
    at_most: float | None = None
    at_least: float | None = None

    def broken_by(self, value: float) -> str | None:
        """A sentence where the value breaks the bound (a NaN always does); else None."""
        if self.at_most is not None and not value <= self.at_most:
            return f"{self.says} is {value:.4g}, at most {self.at_most:g} is allowed"
        if self.at_least is not None and not value >= self.at_least:
            return f"{self.says} is {value:.4g}, at least {self.at_least:g} is asked"
        return None


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of comparing a bundle with the model it was made from."""

    passed: bool
    reason: str
    against: str
    figures: Mapping[str, float]
    bounds: Mapping[str, Bound]

    def to_manifest(self) -> dict[str, Any]:
        """What stands under `verification` in the manifest. JSON types only."""
        bounds = {
            name: {"at_most": bound.at_most, "at_least": bound.at_least}
            for name, bound in self.bounds.items()
        }
        return {
            "passed": self.passed,
            "reason": self.reason,
            "against": self.against,
            "figures": {name: _plain(value) for name, value in self.figures.items()},
            "thresholds": bounds,
            "verified_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }


def judge(against: str, figures: Mapping[str, float], bounds: Mapping[str, Bound]) -> Report:
    """Hold figures to their bounds; a bound without its figure is broken."""
    broken = [
        sentence
        for name, bound in bounds.items()
        if (sentence := bound.broken_by(figures.get(name, float("nan"))))
    ]
    return Report(
        passed=not broken,
        reason="; ".join(broken) or "all figures are within their bounds",
        against=against,
        figures=dict(figures),
        bounds=dict(bounds),
    )


def _plain(value: float) -> float | str:
    """A number that JSON has; NaN and infinity as words."""
    number = float(value)
    return number if number - number == 0 else str(number)

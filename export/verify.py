"""`export verify`: is a bundle still the model that it was made from?

Each role has its own comparison; what they share is here: the report goes into the bundle's
manifest, and a bundle that failed is refused by whoever loads it, unless told otherwise.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from edge_lvr1.bundle import Bundle, load, update_manifest
from edge_lvr1.errors import BundleError
from edge_lvr1.export import checkpoint as checkpoints
from edge_lvr1.export.report import Report

log = logging.getLogger(__name__)

Compare: TypeAlias = Callable[[Bundle, Path, Callable[[str], None]], Report]
"""(bundle, the original's folder, progress) -> what was found."""

_COMPARISONS = {
    "agent": ("edge_lvr1.export.verify_agent", "compare_agent"),
    "captioner": ("edge_lvr1.export.verify_captioner", "compare_captioner"),
}


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """Which bundle to hold against which checkpoint (a folder or a hub id)."""

    bundle: Path
    against: str
    revision: str | None = None
    download: bool = False


def verify_bundle(
    options: VerifyOptions,
    on_progress: Callable[[str], None] = log.info,
    compare: Compare | None = None,
) -> Report:
    """Compare, and put the report into the manifest. Raises BundleError, ModelError.

    The report is given back whether or not the bundle passed.
    """
    bundle = load(options.bundle, allow_failed=True)
    original = checkpoints.find(
        options.against, revision=options.revision, download=options.download
    )
    on_progress(f"comparing {bundle.path.name} with {options.against}")
    report = (compare or comparison_for(bundle.role))(bundle, original, on_progress)
    report = replace(report, against=checkpoints.label(options.against))
    update_manifest(bundle, replace(bundle.manifest, verification=report.to_manifest()))
    on_progress("passed" if report.passed else f"failed: {report.reason}")
    return report


def comparison_for(role: str) -> Compare:
    """The comparison of a role; its module is loaded only now, since it is heavy.

    Raises BundleError for an embedder, which its export compares as it writes it.
    """
    if role not in _COMPARISONS:
        raise BundleError(
            f"a bundle for the {role} is compared while it is exported, and its manifest holds "
            f"the report: export inspect shows it"
        )
    module, name = _COMPARISONS[role]
    compare: Compare = getattr(importlib.import_module(module), name)
    return compare

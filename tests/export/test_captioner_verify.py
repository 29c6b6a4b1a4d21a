from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="verifying needs torch, of the extra 'export'")
pytest.importorskip("transformers", reason="verifying needs transformers, of the extra 'export'")
pytest.importorskip("onnxscript", reason="exports need onnxscript, of the extra 'export'")
pytest.importorskip("onnxruntime", reason="bundles run on onnxruntime, of the extra 'cpu'")

from edge_lvr1 import bundle
from edge_lvr1.bundle import Bundle
from edge_lvr1.errors import BundleError
from edge_lvr1.export import verify_captioner
from edge_lvr1.export.report import Report
from edge_lvr1.export.verify import VerifyOptions, verify_bundle
from tests.tiny_vl_bundles import checkpoint, exported
from tests.tiny_vl_models import FAMILIES, make_checkpoint


@pytest.fixture(autouse=True)
def short_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_captioner, "REPLY_TOKENS", 16)


def verified(made: Bundle, against: Path, tmp_path: Path) -> tuple[Path, Report]:
    copied = tmp_path / "bundle"
    shutil.copytree(made.path, copied)
    return copied, verify_bundle(VerifyOptions(copied, str(against)), lambda line: None)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_fp32_bundle_is_the_model_it_was_made_from(family: str, tmp_path: Path) -> None:
    copied, report = verified(exported(family), checkpoint(family), tmp_path)

    assert report.passed, report.reason
    assert report.figures["logits_difference"] < 1e-4
    assert report.figures["features_difference"] < 1e-4
    assert report.figures["replies_alike"] == 1.0
    assert report.figures["tokens"] > 30
    stored = bundle.load(copied, "captioner").manifest.verification
    assert stored is not None
    assert stored["figures"]["agreement"] == 1.0


def test_int4_is_reported_by_agreement_and_perplexity(tmp_path: Path) -> None:
    made = exported("qwen3_vl", "int4")

    copied, report = verified(made, checkpoint("qwen3_vl"), tmp_path)

    assert 0.0 < report.figures["agreement"] < 1.0
    assert report.figures["perplexity_change"] > 0.0
    assert set(report.bounds) >= {"agreement", "perplexity_change"}
    assert "logits_difference" not in report.bounds
    assert bundle.load(copied, allow_failed=True).manifest.verification is not None


def test_fp16_is_held_to_its_own_bounds(tmp_path: Path) -> None:
    _, report = verified(exported("qwen2_5_vl", "fp16"), checkpoint("qwen2_5_vl"), tmp_path)

    assert report.passed, report.reason
    assert 0.0 < report.figures["logits_difference"] < 0.02


def test_a_bundle_of_other_weights_fails_and_is_refused(tmp_path: Path) -> None:
    other = make_checkpoint(tmp_path / "other", "qwen3_vl", seed=8)

    copied, report = verified(exported("qwen3_vl"), other, tmp_path)

    assert not report.passed
    assert "features" in report.reason
    with pytest.raises(BundleError, match="failed its verification"):
        bundle.load(copied, "captioner")

"""The agent's benchmark, on a shape that takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("onnxruntime_genai", reason="needs onnxruntime-genai")
pytest.importorskip("torch", reason="needs the extra 'export'")
pytest.importorskip("transformers", reason="needs the extra 'export'")

from edge_lvr1.bench_agent import BenchOptions, Shape, bench_agent
from edge_lvr1.errors import ModelError

TINY = Shape(
    vocabulary=600, hidden=64, intermediate=128, layers=2, heads=4, cache_heads=2, head_dim=32
)


def test_ten_rounds_with_the_cache_read_a_third_of_the_tokens_or_less(tmp_path: Path) -> None:
    bench = bench_agent(BenchOptions(shape=TINY, folder=tmp_path, threads=1))

    assert bench.rounds == 10
    assert bench.fewer_tokens_read >= 3.0
    assert bench.reading_s_with_cache < bench.seconds_with_cache
    assert bench.less_reading_time == bench.reading_s_anew / bench.reading_s_with_cache
    assert bench.less_time == bench.seconds_anew / bench.seconds_with_cache
    assert bench.int4_rate > 0
    assert bench.reading_rate > 0
    assert (bench.fp16_rate, bench.card_mb) == (None, None), "these are a GPU's"
    assert bench.torch_bf16_rate > 0
    assert bench.first_token_s > 0
    assert bench.later_first_token_s > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("target", "says"), [("cuda", "cuda|no GPU"), ("tpu", "known: cpu, cuda")])
def test_a_target_that_is_not_there_is_an_error_before_anything_is_made(
    target: str, says: str, tmp_path: Path
) -> None:
    import onnxruntime_genai

    if target == "cuda" and onnxruntime_genai.is_cuda_available():
        pytest.skip("this machine has a GPU")
    said: list[str] = []

    with pytest.raises(ModelError, match=says):
        bench_agent(BenchOptions(shape=TINY, target=target, folder=tmp_path), said.append)

    assert said == []

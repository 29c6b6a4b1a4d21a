from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the bundles of these tests are exported with torch")
pytest.importorskip("transformers", reason="the bundles of these tests are exported with it")
pytest.importorskip("onnxscript", reason="the bundles of these tests are exported with it")
pytest.importorskip("onnxruntime", reason="bundles run on onnxruntime, of the extra 'cpu'")

from edge_lvr1 import bundle
from edge_lvr1.bundle import Bundle, write_bundle
from edge_lvr1.domain import Level, Node, NodeId, Part, Span
from edge_lvr1.errors import BundleError, Cancelled, MediaError, ModelError
from edge_lvr1.media.frames import Footage, Frame
from edge_lvr1.models import looking
from edge_lvr1.models.base import Captioner, Clip
from edge_lvr1.models.looking import Look, frames_of
from edge_lvr1.models.onnx import providers
from edge_lvr1.models.onnx.captioner import OnnxCaptioner
from edge_lvr1.models.onnx.providers import open_session
from edge_lvr1.models.onnx.sampling import Sampling
from edge_lvr1.models.onnx.vl_facts import VISION
from edge_lvr1.models.onnx.vl_prompt import Shown, build_prompt
from tests import media_files
from tests.tiny_vl_bundles import exported
from tests.tiny_vl_models import FAMILIES, pictures

LOOKS = {
    Level.LOW: Look(frames=6, max_side_px=192, words=12),
    Level.MEDIUM: Look(frames=8, max_side_px=128, words=16),
    Level.HIGH: Look(frames=10, max_side_px=128, words=16),
}


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    path = tmp_path_factory.mktemp("footage") / "a.mp4"
    media_files.video(path, media_files.steady(200), size_px=(320, 180))
    return Footage([Part(str(path), 0.0, 8.0, path.stat().st_size, 0, "")])


def clip(footage: Footage, *path: int) -> Clip:
    return Clip(footage, Node(NodeId(path or (1, 1, 1)), Span(1.0, 5.0)))


def ready(family: str = "qwen3_vl", **settings: object) -> OnnxCaptioner:
    given: dict[str, Any] = {"looks": LOOKS, "sampling": Sampling(), "threads": 2, **settings}
    return OnnxCaptioner(exported(family), **given)


def changed(made: Bundle, **changes: object) -> Bundle:
    new: dict[str, Any] = dict(changes)
    return replace(made, manifest=replace(made.manifest, **new))


def still(count: int = 4) -> list[Frame]:
    return [Frame(float(index), picture) for index, picture in enumerate(pictures(count, 96, 192))]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("path", [(1,), (1, 1), (1, 1, 1)])
def test_captions_of_every_level_are_one_line_within_the_words(
    family: str, path: tuple[int, ...], footage: Footage
) -> None:
    model: Captioner = ready(family)
    one = clip(footage, *path)
    look = LOOKS[one.node.level]

    written = model.caption(one)

    assert written.text
    assert written.text.splitlines() == [written.text]
    assert len(written.text.split()) <= look.words
    assert written.frames == look.frames
    assert 0 < written.tokens <= 2 * look.words
    assert "from 1.0 s to 5.0 s" in written.prompt
    assert str(look.words) in written.prompt
    assert model.caption(one) == written


def test_watching_yields_nothing_and_parents_are_looked_at(footage: Footage) -> None:
    model = ready()

    assert list(model.watch(footage, None)) == []
    assert model.fold(Node(NodeId((1,)), Span(0.0, 8.0)), []) is None
    assert not model.loaded


def test_a_caption_is_written_from_the_frames_that_it_wants(footage: Footage) -> None:
    model, one = ready(), clip(footage)
    active = (Span(1.5, 2.0),)
    wanted = model.wants(one.node, active)
    frames = list(footage.at(wanted.times_s, wanted.max_side_px, wanted.tolerance_s))

    assert frames_of(replace(one, active=active), LOOKS[Level.LOW])[0].time_s == frames[0].time_s
    assert wanted == looking.wanted(one.node, LOOKS[Level.LOW], active)
    assert model.caption(replace(one, active=active)).frames == len(frames)


def test_a_query_is_put_to_the_model_with_the_clip(footage: Footage) -> None:
    model = ready()

    first = model.video_qa(clip(footage), "Who opens\nthe gate?")
    second = model.video_qa(clip(footage), "Which colour is the van?")

    assert first
    assert first != second


def test_a_query_cannot_fill_in_the_prompts_own_places(footage: Footage) -> None:
    assert ready().video_qa(clip(footage), "What of {words} and {start.__class__}?")


def test_another_role_is_refused(tmp_path: Path) -> None:
    def fill(out: Path) -> bundle.Manifest:
        (out / "model.bin").write_bytes(b"x")
        return bundle.Manifest("agent", "qwen3", "onnxruntime-genai", "tiny", "fp32", "cpu")

    agent = write_bundle(tmp_path / "agent", fill)

    with pytest.raises(BundleError, match="for the agent, not for the captioner"):
        bundle.load(agent.path, "captioner")
    with pytest.raises(BundleError, match=r"qwen3 for onnxruntime-genai.*export it"):
        OnnxCaptioner(agent)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"runtime": "tensorrt"}, "for tensorrt; this captioner runs"),
        ({"family": "llava"}, "holds a llava"),
    ],
)
def test_a_bundle_for_another_runtime_is_refused(changes: dict[str, str], says: str) -> None:
    with pytest.raises(BundleError, match=says):
        OnnxCaptioner(replace(exported("qwen3_vl"), **changes))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("patch_px", None),
        ("layers", "3"),
        ("marks", {"im_start": 1}),
        ("stops", []),
        ("mean", 0.5),
        ("text_after", 1),
        ("head_dim", True),
    ],
)
def test_a_manifest_with_unreadable_facts_is_refused(key: str, value: object) -> None:
    made = exported("qwen3_vl")
    extra = {**made.manifest.extra, key: value}

    with pytest.raises(BundleError, match=f"does not say its {key}"):
        OnnxCaptioner(changed(made, extra=extra))


@pytest.mark.parametrize(
    ("prompt", "says"), [("Tell {frame}", "cannot be filled in"), ("Tell {", "cannot be filled")]
)
def test_a_prompt_that_cannot_be_filled_in_is_refused(prompt: str, says: str) -> None:
    made = exported("qwen3_vl")
    prompts = {**made.manifest.prompts, "caption": prompt}

    with pytest.raises(BundleError, match=says):
        OnnxCaptioner(changed(made, prompts=prompts))


def test_a_bundle_without_a_prompt_is_refused() -> None:
    with pytest.raises(BundleError, match="no prompt 'caption'"):
        OnnxCaptioner(changed(exported("qwen3_vl"), prompts={}))


def test_frames_that_do_not_fit_into_the_context_are_refused_with_the_figures() -> None:
    model = OnnxCaptioner(changed(exported("qwen3_vl"), context_tokens=64), threads=2)

    with pytest.raises(ModelError, match="tokens of frames and text do not fit into the 64"):
        model.reply(still(), 192, "What?", 10)


def test_a_reply_is_cut_where_the_context_ends() -> None:
    wide = ready()
    tokens = len(wide.reply(still(), 192, "What happens here?", 40))
    shown = Shown((0.0, 1.0, 2.0, 3.0), 3, 6)
    asked = build_prompt(wide.facts, wide.words, "", "What happens here?", shown)
    prompt = len(asked.ids)
    narrow = OnnxCaptioner(
        changed(exported("qwen3_vl"), context_tokens=prompt + 3), sampling=Sampling(), threads=2
    )

    assert tokens > 3
    assert len(narrow.reply(still(), 192, "What happens here?", 40)) == 3


def ticking(step_s: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += step_s


def test_at_the_deadline_what_is_written_counts() -> None:
    whole = ready().reply(still(), 192, "What?", 40)
    model = ready(max_seconds=10.0, clock=ticking(1.0).__next__)

    ids = model.reply(still(), 192, "What?", 40)

    assert 0 < len(ids) < 10 < len(whole)
    assert ids == whole[: len(ids)]


def test_a_deadline_before_the_first_word_is_an_error_that_says_so(footage: Footage) -> None:
    model = ready(max_seconds=1.0, clock=ticking(2.0).__next__)

    with pytest.raises(ModelError, match=r"wrote no caption of \(1,1,1\)"):
        model.caption(clip(footage))
    with pytest.raises(ModelError, match="said nothing about"):
        model.video_qa(clip(footage), "What?")


def test_sampling_is_the_bundles_unless_told_otherwise_and_seeded() -> None:
    drawn = OnnxCaptioner(exported("qwen3_vl"), looks=LOOKS, threads=2)
    other = ready(sampling=replace(drawn.sampling, seed=5))

    first, again = (drawn.reply(still(), 192, "What?", 20) for _ in range(2))

    assert drawn.sampling == Sampling(temperature=0.7, top_k=20, top_p=0.8)
    assert first == again
    assert first != other.reply(still(), 192, "What?", 20)


def test_unloading_frees_the_model_and_the_next_use_loads_it_again() -> None:
    model = ready()

    first = model.reply(still(), 192, "What?", 8)
    assert model.loaded
    model.unload()
    assert not model.loaded

    assert model.reply(still(), 192, "What?", 8) == first
    assert model.memory_mb > 0


def test_footage_that_is_gone_is_a_media_error() -> None:
    with pytest.raises(MediaError):
        ready().caption(clip(Footage([])))


def test_a_version_names_the_weights_and_the_prompts() -> None:
    made = exported("qwen3_vl")
    prompts = {**made.manifest.prompts, "system": "Be brief."}

    versions = {
        OnnxCaptioner(made).version,
        OnnxCaptioner(exported("qwen2_5_vl")).version,
        OnnxCaptioner(changed(made, prompts=prompts)).version,
    }

    assert len(versions) == 3
    assert all(version.startswith("fp32-") for version in versions)
    assert OnnxCaptioner(made).name == "onnx: qwen3_vl"


def test_a_provider_that_is_not_there_is_an_error_that_names_what_is() -> None:
    model = ready(provider="cuda")

    with pytest.raises(ModelError, match=r"no cuda .*CPUExecutionProvider"):
        model.load()
    with pytest.raises(ModelError, match="no provider 'tpu'"):
        ready(provider="tpu").load()


def test_a_provider_that_falls_back_to_the_cpu_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = providers.onnxruntime()
    listed = [*package.get_available_providers(), providers.PROVIDERS["cuda"]]
    monkeypatch.setattr(package, "get_available_providers", lambda: listed)
    monkeypatch.setattr(package, "InferenceSession", Fallen)

    with pytest.raises(ModelError, match="was to run on cuda but was put on CPUExecution"):
        open_session(exported("qwen3_vl").path / VISION, "cuda")


class Fallen:
    """A session that has quietly gone to the CPU."""

    def __init__(self, *given: object, **named: object) -> None:
        self.given = given

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]


@pytest.mark.parametrize("broken", ["decoder.onnx", "vision.onnx.data", "embed_tokens.npy"])
def test_a_broken_file_is_named(broken: str, tmp_path: Path) -> None:
    made = exported("qwen2_5_vl")
    shutil.copytree(made.path, tmp_path / "copy")
    (tmp_path / "copy" / broken).write_bytes(b"not a model")
    model = OnnxCaptioner(replace(made, path=tmp_path / "copy"), threads=2)

    with pytest.raises(ModelError, match=broken.split(".")[0]):
        model.load()


def test_a_reply_that_nobody_wants_ends_between_tokens() -> None:
    asked: list[None] = []

    def cancelled() -> bool:
        asked.append(None)
        return len(asked) > 5

    with pytest.raises(Cancelled):
        ready().reply(still(), 192, "What?", 40, cancelled)

    assert len(asked) == 6


def test_a_look_that_nobody_wants_is_broken_off(footage: Footage) -> None:
    unwanted = clip(footage.until(lambda: True))

    with pytest.raises(Cancelled):
        ready().video_qa(unwanted, "What?")

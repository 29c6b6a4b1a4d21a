"""The append-only rendering is read off a checkpoint's template, and held against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.errors import BundleError
from edge_lvr1.models.base import Message
from edge_lvr1.models.onnx.chat import CHATML, Chat, Marks

pytest.importorskip("transformers", reason="needs the extra 'export'")

from edge_lvr1.export.chat import find_chat, template
from tests.tiny_models import train_tokenizer

KEEPS_EVERYTHING = """\
{%- for m in messages -%}{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' -}}\
{%- endfor -%}"""
BRACKETS = """\
{{- '<|endoftext|>' -}}{%- for m in messages -%}\
{{- '<|im_start|>[' + m.role + '] ' + m.content + '<|im_end|>' -}}{%- endfor -%}"""
NO_SYSTEM = """\
{%- for m in messages if m.role != 'system' -%}\
{{- '<|im_start|>' + m.role + m.content + '<|im_end|>' -}}{%- endfor -%}"""
COUNTS = """\
{%- for m in messages -%}\
{{- '<|im_start|>' + m.role + loop.index|string + m.content + '<|im_end|>' -}}{%- endfor -%}"""

turns = st.lists(
    st.builds(Message, st.sampled_from(["system", "user", "assistant"]), st.text(max_size=20)),
    max_size=6,
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return train_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def with_template(tokenizer: Any, text: str | None) -> Any:
    tokenizer.chat_template = text
    return tokenizer


@given(turns, turns)
def test_what_is_rendered_for_some_turns_begins_what_is_rendered_for_more(
    some: list[Message], more: list[Message]
) -> None:
    assert CHATML.render([*some, *more]).startswith(CHATML.render(some))


def test_a_template_that_drops_reasoning_is_replaced_and_the_user_told(tokenizer: Any) -> None:
    from tests.tiny_models import QWEN3_LIKE_TEMPLATE

    found = find_chat(with_template(tokenizer, QWEN3_LIKE_TEMPLATE))

    assert found.chat == CHATML
    assert any("drops reasoning" in note for note in found.notes)


def test_a_template_that_keeps_everything_needs_no_note(tokenizer: Any) -> None:
    found = find_chat(with_template(tokenizer, KEEPS_EVERYTHING))

    assert found.chat == CHATML
    assert found.notes == ()


def test_marks_other_than_chatml_are_read_off(tokenizer: Any) -> None:
    found = find_chat(with_template(tokenizer, BRACKETS))

    assert found.chat == Chat(
        system=Marks("<|endoftext|><|im_start|>[system] ", "<|im_end|>"),
        user=Marks("<|im_start|>[user] ", "<|im_end|>"),
        assistant=Marks("<|im_start|>[assistant] ", "<|im_end|>"),
    )


def test_a_checkpoint_without_a_template_gets_chatml_where_its_tokenizer_knows_it(
    tokenizer: Any,
) -> None:
    found = find_chat(with_template(tokenizer, None))

    assert found.chat == CHATML
    assert any("ChatML" in note for note in found.notes)


@pytest.mark.parametrize(
    ("text", "says"), [(NO_SYSTEM, "leaves out the system turn"), (COUNTS, "differently")]
)
def test_a_template_that_cannot_be_followed_is_refused(
    tokenizer: Any,
    text: str,
    says: str,
) -> None:
    with pytest.raises(BundleError, match=says):
        find_chat(with_template(tokenizer, text))


def test_a_tokenizer_that_merges_over_the_border_of_turns_is_refused(tokenizer: Any) -> None:
    plain = "{%- for m in messages -%}{{- m.role + ': ' + m.content + '>>' -}}{%- endfor -%}"

    class Merging:
        chat_template = plain

        def apply_chat_template(self, turns: list[dict[str, str]], **_: object) -> str:
            return "".join(f"{turn['role']}: {turn['content']}>>" for turn in turns)

        def encode(self, text: str, **_: object) -> list[int]:
            return [hash(text[at : at + 7]) for at in range(0, len(text), 7)]

    with pytest.raises(BundleError, match="merges text over the border"):
        find_chat(Merging())


def test_the_written_template_renders_as_the_bundle_does(tokenizer: Any) -> None:
    messages = [
        Message("system", "You 'answer'."),
        Message("user", "What?\n"),
        Message("assistant", "<think>Hm.</think>\n<tool>get_caption((1,1))</tool>"),
        Message("user", "A man."),
    ]
    written = with_template(tokenizer, template(CHATML))

    rendered = written.apply_chat_template(
        [{"role": m.role, "content": m.content} for m in messages],
        tokenize=False,
        add_generation_prompt=True,
    )

    assert rendered == CHATML.prompt(messages)


def test_a_chat_reads_back_from_a_manifest() -> None:
    assert Chat.from_extra({"chat": CHATML.to_extra()}) == CHATML
    with pytest.raises(BundleError, match="how conversations are written"):
        Chat.from_extra({})


def test_think_tags_that_are_special_become_plain_text(tmp_path: Path) -> None:
    import json

    from edge_lvr1.export.agent import _plain_think_tags

    file = tmp_path / "tokenizer.json"
    added = [
        {"content": "<think>", "special": True},
        {"content": "</think>", "special": True},
        {"content": "<|im_end|>", "special": True},
    ]
    file.write_text(json.dumps({"added_tokens": added}))

    _plain_think_tags(file)

    tokens = json.loads(file.read_text())["added_tokens"]
    assert [token["special"] for token in tokens] == [False, False, True]

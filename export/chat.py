"""The append-only rendering of conversations, taken from a checkpoint's own template.

A template is a program; what the agent needs is four pairs of marks. They are read off by
rendering marker texts, and then held against the template on a conversation of several turns.
Templates that drop the reasoning of earlier turns (Qwen3's does) are the reason: what was
rendered would change under the cache, and the agent would forget why it opened what it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge_lvr1.errors import BundleError
from edge_lvr1.models.base import Message
from edge_lvr1.models.onnx.chat import CHATML, Chat, Marks

_SYSTEM, _ASKED, _SAID = "qsystemq", "qaskedq", "qsaidq"
_THOUGHT = "qthoughtq"
_PLAIN = (
    Message("system", "You answer."),
    Message("user", "What is in (1)?"),
    Message("assistant", "Let me see."),
    Message("user", "A man walks."),
)


@dataclass(frozen=True, slots=True)
class ChatFound:
    """The rendering for a checkpoint, and what its user should know about it."""

    chat: Chat
    notes: tuple[str, ...]


def find_chat(tokenizer: Any) -> ChatFound:  # noqa: ANN401 (transformers' tokenizers share no type)
    """The append-only rendering for a tokenizer's chat template.

    Raises BundleError where the template cannot be followed or the tokenizer merges over
    the borders of turns.
    """
    template = getattr(tokenizer, "chat_template", None)
    if template is None:
        if not _knows(tokenizer, CHATML):
            raise BundleError(
                "the checkpoint has no chat template, and its tokenizer does not know ChatML: "
                "put the chat template that it was trained with beside its tokenizer"
            )
        return ChatFound(CHATML, ("The checkpoint has no chat template: ChatML is used.",))
    chat = _read_off(tokenizer)
    notes: tuple[str, ...] = ()
    if _render(tokenizer, _PLAIN) != chat.render(_PLAIN):
        raise BundleError(
            "the checkpoint's chat template is not a plain sequence of marked turns, so the "
            "key-value cache could not be kept: give it a template that is"
        )
    if _drops_reasoning(tokenizer):
        notes = (
            "The checkpoint's chat template drops reasoning from earlier turns: the bundle "
            "renders conversations append-only, with reasoning kept.",
        )
    check_prefix_stable(tokenizer, chat)
    return ChatFound(chat, notes)


def check_prefix_stable(tokenizer: Any, chat: Chat) -> None:  # noqa: ANN401
    """Check that a conversation may go on from its cache. Raises BundleError.

    The tokens of what follows a reply must be the same whether they are encoded with what
    stands before or on their own, as the agent does.
    """
    turns = (
        Message("system", "You answer."),
        Message("user", "What?\nThe total duration of the video is 8.0 seconds."),
        Message("assistant", "<think>Where?</think>\n<tool>get_caption((1,1))</tool>"),
        Message("user", "Medium-level Caption from tool get_caption((1,1)). From 0.0 to 2.0: A."),
    )
    said = chat.prompt(turns[:2]) + turns[2].content
    rest = chat.prompt(turns).removeprefix(said)
    if _encode(tokenizer, said + rest) != _encode(tokenizer, said) + _encode(tokenizer, rest):
        raise BundleError(
            "the tokenizer merges text over the border between turns, so a conversation "
            "cannot go on from its cache: the marks of turns must be special tokens"
        )


def template(chat: Chat) -> str:
    """The rendering as a chat template, for servers that run the bundle's tokenizer."""
    roles = "".join(
        f"{{%- {word} message.role == '{role}' -%}}"
        f"{{{{- {marks.before!r} + message.content + {marks.after!r} -}}}}"
        for word, role, marks in (
            ("if", "system", chat.system),
            ("elif", "user", chat.user),
            ("elif", "assistant", chat.assistant),
        )
    )
    return (
        f"{{{{- {chat.start!r} -}}}}{{%- for message in messages -%}}{roles}{{%- endif -%}}"
        f"{{%- endfor -%}}{{%- if add_generation_prompt -%}}"
        f"{{{{- {chat.assistant.before!r} -}}}}{{%- endif -%}}"
    )


def _read_off(tokenizer: Any) -> Chat:  # noqa: ANN401
    """Marks around each role's content, from rendering texts that stand out."""
    messages = [
        Message("system", _SYSTEM),
        Message("user", _ASKED),
        Message("assistant", _SAID),
        Message("user", _ASKED),
    ]
    text = _render(tokenizer, messages)
    pieces = []
    for message in messages:
        before, found, text = text.partition(message.content)
        if not found:
            raise BundleError(
                f"the checkpoint's chat template leaves out the {message.role} turn: give it a "
                f"template that shows every turn"
            )
        pieces.append(before)
    return _marks(pieces, end=text)


def _marks(pieces: Sequence[str], end: str) -> Chat:
    """Divide what stands between contents; `end` is what stands after the last."""
    first, to_user, to_assistant, to_user_again = pieces
    alike = all(piece.startswith(end) for piece in (to_user, to_assistant, to_user_again))
    if not alike or not end or to_user != to_user_again:
        raise BundleError(
            "the checkpoint's chat template closes its turns differently by role or by place: "
            "give it a template like ChatML, where every turn ends alike"
        )
    return Chat(
        system=Marks(first, end),
        user=Marks(to_user.removeprefix(end), end),
        assistant=Marks(to_assistant.removeprefix(end), end),
    )


def _drops_reasoning(tokenizer: Any) -> bool:  # noqa: ANN401
    messages = [
        Message("user", _ASKED),
        Message("assistant", f"<think>{_THOUGHT}</think>\n{_SAID}"),
        Message("user", _ASKED),
    ]
    return _THOUGHT not in _render(tokenizer, messages)


def _render(tokenizer: Any, messages: Sequence[Message]) -> str:  # noqa: ANN401
    turns = [{"role": message.role, "content": message.content} for message in messages]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=False))


def _encode(tokenizer: Any, text: str) -> list[int]:  # noqa: ANN401
    return [int(token) for token in tokenizer.encode(text, add_special_tokens=False)]


def _knows(tokenizer: Any, chat: Chat) -> bool:  # noqa: ANN401
    return len(_encode(tokenizer, chat.user.after.strip())) == 1

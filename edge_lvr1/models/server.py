"""The `server` backend: captioner and agent behind an OpenAI-compatible chat server.

vLLM, SGLang, TensorRT-LLM, llama.cpp, `transformers serve`, `tensorrt-edgellm-serve`: the
weights are theirs, and so is the chat template. A template that drops the reasoning of
earlier turns (Qwen3's own does) makes the agent forget it; serve the template that
`export agent` writes.
"""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from edge_lvr1.domain import Caption, Level, Node, Span
from edge_lvr1.errors import ModelError
from edge_lvr1.media.frames import Footage, Frame, Wanted
from edge_lvr1.models.base import (
    TWO_TOOLS,
    Cancel,
    Clip,
    Finder,
    Message,
    Moves,
    Notes,
    Usage,
    Written,
    never,
)
from edge_lvr1.models.chat_server import ChatServer, Completion
from edge_lvr1.models.legal_regex import Constraint, constrain, constraint_of, legal_regex
from edge_lvr1.models.looking import (
    LOOKS,
    QUERY_WORDS,
    Look,
    caption_words,
    frames_of,
    query_words,
    said,
    wanted,
)
from edge_lvr1.untrusted import without_marks

log = logging.getLogger(__name__)

STOPS = ("</tool>", "</answer>")
JPEG_QUALITY = 85
_TOKENS_A_WORD = 2  # more than any tokenizer needs for plain words


@dataclass(frozen=True, slots=True)
class Sampling:
    """How replies are drawn. A temperature of 0 takes the likeliest token each time."""

    max_tokens: int = 1024
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The fields of a request."""
        body: dict[str, Any] = {
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
        }
        if self.seed is not None:
            body["seed"] = self.seed
        return {**body, **self.extra}


THINKING: Mapping[str, Any] = {"chat_template_kwargs": {"enable_thinking": True}}
"""Some servers leave the thought out of Qwen3's replies unless they are asked for it."""


class _Model:
    """A chat server and the name of the model that is wanted of it."""

    def __init__(self, server: ChatServer) -> None:
        self.server = server
        self.model = server.endpoint.model

    def complete(
        self,
        body: Mapping[str, Any],
        stops: Sequence[str] = (),
        deadline: float | None = None,
        cancelled: Cancel = never,
    ) -> Completion:
        if not self.model:
            listed = self.server.models(deadline)
            if not listed:
                raise ModelError(
                    f"the server at {self.server.endpoint.url} lists no models: "
                    f"name the one to use in the settings"
                )
            self.model = listed[0]
        return self.server.complete({"model": self.model, **body}, stops, deadline, cancelled)


class ServerAgent:
    """Conversations with a language model on a chat server.

    With `constraint` "auto" the server's own description is asked once whether it can keep
    to the legal moves; "none" leaves the model free. `tools` beyond the two are told of in the
    system turn. The server keeps its own cache of what
    it has read: the conversation is append-only, so a prefix cache serves every round.
    """

    def __init__(
        self,
        server: ChatServer,
        sampling: Sampling | None = None,
        constraint: Constraint | Literal["auto", "none"] = "auto",
        tools: Iterable[str] = TWO_TOOLS,
    ) -> None:
        self.name = _name(server)
        self.tools = frozenset(tools)
        self.sampling = sampling or Sampling(extra=THINKING)
        self.constraint = constraint
        self._model = _Model(server)

    def reach(self) -> None:
        """Raise ServerAway where the server cannot be reached, ModelError where it refuses."""
        self._model.server.models()

    def open(self, finder: Finder | None = None) -> ServerAgentSession:
        """Begin a conversation. The server is not spoken to before the first reply."""
        return ServerAgentSession(self)

    def reply(
        self, messages: Sequence[Message], moves: Moves, deadline: float, cancelled: Cancel = never
    ) -> Completion:
        """One reply, ended after a call or an answer. Raises ModelError, Cancelled."""
        body: dict[str, Any] = {
            "messages": [
                {"role": turn.role, "content": without_marks(turn.content)} for turn in messages
            ],
            **self.sampling.body(),
        }
        constraint = self._known_constraint()
        if constraint != "none":
            body |= constrain(constraint, legal_regex(moves))
        done = self._model.complete(body, STOPS, deadline, cancelled)
        log.debug("%s: %d tokens, ended by %s", self.name, done.tokens, done.finish)
        return done

    def _known_constraint(self) -> Constraint | Literal["none"]:
        if self.constraint == "auto":
            self.constraint = constraint_of(self._model.server.schema()) or "none"
            log.info("%s keeps to the legal moves by: %s", self.name, self.constraint)
        return self.constraint


class ServerAgentSession:
    """One question's conversation; nothing of it is kept here."""

    def __init__(self, agent: ServerAgent) -> None:
        self.agent = agent
        self.usage = Usage()

    def reply(
        self, messages: Sequence[Message], moves: Moves, deadline: float, cancelled: Cancel = never
    ) -> str:
        """The next reply; what was written by the deadline. Raises ModelError, Cancelled."""
        done = self.agent.reply(messages, moves, deadline, cancelled)
        self.usage += Usage(done.read, done.tokens)
        return done.text

    def close(self) -> None:
        """Nothing to free."""


class ServerCaptioner:
    """Clips shown as pictures to a vision-language model on a chat server."""

    version = "1"

    def __init__(
        self,
        server: ChatServer,
        looks: Mapping[Level, Look] = LOOKS,
        sampling: Sampling | None = None,
    ) -> None:
        self.name = _name(server)
        self.looks = looks
        self.sampling = sampling or Sampling()
        self._model = _Model(server)

    def watch(
        self, footage: Footage, notes: Notes | None, active: Sequence[Span] | None = None
    ) -> Iterator[Notes]:
        """Nothing: each clip is looked at by itself."""
        return iter(())

    def reach(self) -> None:
        """Raise ServerAway where the server cannot be reached, ModelError where it refuses."""
        self._model.server.models()

    def wants(self, node: Node, active: Sequence[Span] | None = None) -> Wanted:
        """The frames that a caption of the node will be written from."""
        return wanted(node, self.looks[node.level], active)

    def caption(self, clip: Clip) -> Written:
        """Write a node's caption by looking. Raises ModelError, MediaError."""
        look = self.looks[clip.node.level]
        frames = frames_of(clip, look)
        prompt = caption_words(clip.node, len(frames), look.words)
        done = self._ask(clip, prompt, frames, look.words)
        text = said(done.text, look.words)
        if not text:
            raise ModelError(
                f"{self.name} wrote no caption of {clip.node.id} (it ended by {done.finish!r}): "
                f"see whether it serves a model that sees pictures"
            )
        return Written(text=text, frames=len(frames), tokens=done.tokens, prompt=prompt)

    def fold(self, node: Node, children: Sequence[Caption]) -> Written | None:
        """None: every level is written by looking, as the agent was trained."""
        return None

    def video_qa(self, clip: Clip, query: str) -> str:
        """Look at a leaf again with a question in mind. Raises ModelError, MediaError."""
        frames = frames_of(clip, self.looks[clip.node.level])
        prompt = query_words(clip.node, len(frames), query)
        text = said(self._ask(clip, prompt, frames, QUERY_WORDS).text, QUERY_WORDS)
        if not text:
            raise ModelError(f"{self.name} said nothing about {clip.node.id}")
        return text

    def _ask(self, clip: Clip, prompt: str, frames: Sequence[Frame], words: int) -> Completion:
        content: list[dict[str, Any]] = [{"type": "text", "text": prompt}]
        for frame in frames:
            content.append({"type": "text", "text": f"{frame.time_s:.1f} s"})
            content.append({"type": "image_url", "image_url": {"url": picture_url(frame)}})
        body = self.sampling.body()
        body["max_tokens"] = min(body["max_tokens"], words * _TOKENS_A_WORD)
        body["messages"] = [{"role": "user", "content": content}]
        return self._model.complete(body, cancelled=clip.footage.cancelled)


def picture_url(frame: Frame) -> str:
    """A frame as a data URL that holds a JPEG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(frame.image).save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _name(server: ChatServer) -> str:
    model = server.endpoint.model
    return f"server: {model}" if model else "server"

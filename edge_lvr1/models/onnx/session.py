"""One question's conversation with an exported agent.

The key-value cache lives as long as the conversation: of each round only the new tokens are
read. The runtime's engine is used rather than its generator, because there a turn brings its
own grammar, and the cache holds exactly what was read and written (a generator
loses the last token it sampled when more are appended). What the moves mean the session does
not know; it holds replies to their grammar.

The engine reads a turn's tokens in one go, which nothing can stop. So a long prompt is read in
pieces, each a turn of its own that has to write one token, held by a grammar to the very token
that the prompt goes on with: nothing strange comes into the cache, and between pieces the
reading can be given up.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from edge_lvr1.errors import Cancelled, ModelError
from edge_lvr1.models.base import Cancel, Message, Moves, Usage, never
from edge_lvr1.models.onnx.chat import Chat
from edge_lvr1.models.onnx.genai import LoadedModel
from edge_lvr1.models.onnx.grammar import (
    END_THINK,
    ENDS,
    KIND,
    THINK,
    move_grammar,
    reply_grammar,
)
from edge_lvr1.prompts import system_turn
from edge_lvr1.untrusted import without_marks

log = logging.getLogger(__name__)

LEAST_ROOM_TOKENS = 200  # below it no thought and answer can be written
_TEXT_CHARS = 400  # longest query or answer
_TOKENS_A_CHAR = 4  # at worst: one for each UTF-8 byte
_TAG_TOKENS = 64  # tags and a call's own words, at worst a token a character
_EVENTS = 8
_LEAST_PIECE_TOKENS, _MOST_PIECE_TOKENS = 8, 512
# Parameters times tokens: what two cores read in a second of a model in int4 (80 tokens a second
# of 0.6 billion parameters were measured).
_CPU_PIECE_WORK = 48_000_000_000


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; greedy unless `do_sample`. The seed is the loaded model's."""

    do_sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 50
    repetition_penalty: float = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a conversation, in tokens; `legal_moves` holds replies to the grammar.

    `piece_tokens` are read at a time of a long prompt (see `piece_tokens`).
    """

    context_tokens: int
    thought_tokens: int = 512
    reply_tokens: int = 1024
    piece_tokens: int = 512
    legal_moves: bool = True


def piece_tokens(parameters: int, provider: str) -> int:
    """How many tokens of a prompt to read at a time, so that a piece takes about a second.

    From the size of the model alone and not from the clock, since another division can move
    the last digits of what is computed: the same conversation is always read in the same way.
    """
    if provider != "cpu":
        return _MOST_PIECE_TOKENS
    fitting = _CPU_PIECE_WORK // max(1, parameters)
    return max(_LEAST_PIECE_TOKENS, min(_MOST_PIECE_TOKENS, fitting))


@dataclass(frozen=True, slots=True)
class Budget:
    """What one reply may take of the room that is left."""

    thought_tokens: int
    text_chars: int
    last: bool


def budget(room_tokens: int, limits: Limits) -> Budget:
    """Divide the room between thought and move, so that the move always fits.

    `last` where no further round would fit: then the reply must be the answer.
    """
    text_chars = min(_TEXT_CHARS, (room_tokens // 2 - _TAG_TOKENS) // _TOKENS_A_CHAR)
    thought = room_tokens - text_chars * _TOKENS_A_CHAR - _TAG_TOKENS
    round_tokens = min(limits.reply_tokens, limits.context_tokens // 8)
    return Budget(
        thought_tokens=min(limits.thought_tokens, thought),
        text_chars=text_chars,
        last=room_tokens < LEAST_ROOM_TOKENS + 2 * round_tokens,
    )


@dataclass(slots=True)
class _Written:
    """A reply while it is written."""

    tokens: list[int] = field(default_factory=list)
    text: str = ""
    over: bool = False


class OnnxAgentSession:
    """An AgentSession on onnxruntime-genai. Not for use by two threads at once."""

    def __init__(
        self,
        loaded: LoadedModel,
        chat: Chat,
        sampling: Sampling,
        limits: Limits,
        *,
        system: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.usage = Usage()
        self._loaded = loaded
        self._chat = chat
        self._sampling = sampling
        self._limits = limits
        self._system = system
        self._clock = clock
        self._engine: Any = None
        self._events: Any = None
        self._request: Any = None
        self._history: tuple[Message, ...] = ()  # what the cache holds
        self._held: list[int] = []  # what the cache holds, in tokens
        self._unread_yet: list[int] = []  # of the history, where reading it was given up

    @property
    def tokens(self) -> tuple[int, ...]:
        """The conversation as the model has it: all that was read and written, in tokens."""
        return tuple(self._held)

    def reply(
        self, messages: Sequence[Message], moves: Moves, deadline: float, cancelled: Cancel = never
    ) -> str:
        """The next reply. Raises ModelError, Cancelled. See `stream`."""
        pieces: list[str] = []
        if cancelled():
            raise Cancelled("the reply is not wanted any more")
        with closing(self.stream(messages, moves, deadline)) as stream:
            for piece in stream:
                pieces.append(piece)
                if cancelled():
                    raise Cancelled("the reply is not wanted any more")
        return "".join(pieces)

    def stream(
        self, messages: Sequence[Message], moves: Moves, deadline: float
    ) -> Generator[str, None, None]:
        """The next reply, piece by piece; ends at the move's end, the deadline or the budget.

        A piece is empty after each part of a long prompt that was read. Closing the iterator
        stops the reading or writing. Where the context is full, the reply is a
        thought that says so and no move: the loop's own budget then ends the question.
        """
        if self._clock() >= deadline:
            return
        messages = self._unmarked(self._worded(messages, moves))
        new = self._unread(messages)
        room = self._limits.context_tokens - len(self._held) - len(new)
        if room < LEAST_ROOM_TOKENS:
            log.warning("the agent's context of %d tokens is full", self._limits.context_tokens)
            yield f"{THINK}The context of {self._limits.context_tokens} tokens is full.{END_THINK}"
            return
        written = _Written()
        try:
            if self._limits.legal_moves:
                yield from self._legal(new, moves, budget(room, self._limits), written, deadline)
            else:
                most = min(room, self._limits.reply_tokens)
                yield from self._turn(new, None, most, written, deadline)
        except RuntimeError as error:
            self.close()
            raise ModelError(f"the agent's runtime failed: {error}") from error
        finally:
            said = Message("assistant", written.text)
            self._history = self._unmarked((*messages, said))

    def close(self) -> None:
        """Free the cache."""
        if self._request is not None:
            self._request.close()
        self._request = self._events = self._engine = None
        self._history, self._held, self._unread_yet = (), [], []

    def _worded(self, messages: Sequence[Message], moves: Moves) -> tuple[Message, ...]:
        """The messages, with the bundle's own wording of the system turn where it has one."""
        if self._system is None or not messages or messages[0].role != "system":
            return tuple(messages)
        return (
            Message("system", system_turn(moves.width, self._system, moves.tools)),
            *messages[1:],
        )

    def _unmarked(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The messages without the tokenizer's marks in what they say: turns are ours to mark."""
        marks = self._loaded.marks
        return tuple(Message(one.role, without_marks(one.content, marks)) for one in messages)

    def _unread(self, messages: tuple[Message, ...]) -> list[int]:
        """Tokens that the cache does not hold yet; starts afresh where the history differs."""
        known = len(self._history)
        if self._request is None or known == 0 or messages[:known] != self._history:
            if self._request is not None:
                log.info("the conversation does not go on from what was read: reading it again")
            self._open()
            return self._loaded.encode(self._chat.prompt(messages))
        # The cache ends with the reply as it was written, without the marks that end a turn.
        turns = "".join(map(self._chat.turn, messages[known:]))
        said = self._chat.assistant.after + turns + self._chat.assistant.before
        return self._unread_yet + self._loaded.encode(said)

    def _open(self) -> None:
        self.close()
        package = self._loaded.genai
        try:
            self._engine = package.Engine(self._loaded.model)
            options = package.RequestOptions()
            options.set_max_session_tokens(self._limits.context_tokens)
            self._request = self._engine.create_request(options=options)
            self._events = self._engine.create_event_buffer(_EVENTS)
        except RuntimeError as error:
            raise ModelError(f"the agent could not begin a conversation: {error}") from error

    def _legal(
        self, new: list[int], moves: Moves, room: Budget, written: _Written, deadline: float
    ) -> Generator[str, None, None]:
        """A reply held to the legal moves; the thought is closed when its tokens are spent."""
        if room.last:
            moves = replace(moves, must_answer=True)
        grammar = reply_grammar(moves, room.text_chars)
        most = room.thought_tokens + room.text_chars * _TOKENS_A_CHAR + _TAG_TOKENS
        with closing(self._turn(new, grammar, most, written, deadline)) as pieces:
            for piece in pieces:
                yield piece
                if len(written.tokens) >= room.thought_tokens and _is_thinking(written.text):
                    break
        if written.over or not _is_thinking(written.text) or self._clock() >= deadline:
            return
        closing_tag = f"{END_THINK}\n"
        written.text += closing_tag
        yield closing_tag
        grammar = move_grammar(moves, room.text_chars)
        tokens = self._loaded.encode(closing_tag)
        yield from self._turn(tokens, grammar, most, written, deadline)

    def _turn(
        self,
        new: list[int],
        grammar: str | None,
        most_tokens: int,
        written: _Written,
        deadline: float,
    ) -> Generator[str, None, None]:
        """Read new tokens and write on, until a move's end, the deadline or so many tokens."""
        for _ in self._read_ahead(new):
            yield ""
            if self._clock() >= deadline:
                return
        new, self._unread_yet = self._unread_yet, []
        decode = self._loaded.tokenizer.create_stream().decode
        turn = self._begin_turn(new, self._turn_options(grammar, most_tokens))
        try:
            # One step at least: a turn that is stopped before it gives back what it was to read.
            while tokens := self._step():
                self._held += tokens
                self.usage += Usage(written=len(tokens))
                written.tokens += tokens
                piece = "".join(map(decode, tokens))
                written.text += piece
                written.over = any(end in written.text for end in ENDS)
                yield piece
                if written.over or self._clock() >= deadline:
                    break
        finally:
            self._stop(turn)

    def _read_ahead(self, new: list[int]) -> Iterator[None]:
        """Read new tokens but for a last piece, and stop after each piece; what is left to read
        is kept. Raises RuntimeError."""
        self._unread_yet = new
        while len(self._unread_yet) > self._limits.piece_tokens:
            end = self._piece_end(self._unread_yet)
            if end is None:
                return
            *piece, last = self._unread_yet[:end]
            options = self._loaded.genai.TurnOptions(self._request)
            options.set_max_generated_tokens(1)
            options.set_do_sample(False)
            options.set_guidance(KIND, f"start: <[{last}]>")
            self._begin_turn(piece, options)
            if self._step() != [last]:
                raise RuntimeError("it did not keep to a grammar of one token")
            while self._engine.has_pending_requests():
                self._run_once()
            self._held.append(last)
            self.usage += Usage(read=1)
            self._unread_yet = self._unread_yet[end:]
            yield

    def _piece_end(self, tokens: Sequence[int]) -> int | None:
        """Where a piece may end: not with a mark, which could end the turn."""
        ends = range(self._limits.piece_tokens, 1, -1)
        return next((end for end in ends if tokens[end - 1] not in self._loaded.mark_ids), None)

    def _begin_turn(self, new: list[int], options: object) -> int:
        import numpy as np

        turn: int = self._request.begin_turn(np.asarray(new, dtype=np.int32), options)
        self._held += new
        self.usage += Usage(read=len(new))
        return turn

    def _turn_options(self, grammar: str | None, most_tokens: int) -> object:
        options = self._loaded.genai.TurnOptions(self._request)
        options.set_max_generated_tokens(most_tokens)
        options.set_do_sample(self._sampling.do_sample)
        options.set_repetition_penalty(self._sampling.repetition_penalty)
        if self._sampling.do_sample:
            options.set_temperature(self._sampling.temperature)
            options.set_top_p(self._sampling.top_p)
            options.set_top_k(self._sampling.top_k)
        if grammar is not None:
            options.set_guidance(KIND, grammar)
        return options

    def _step(self) -> list[int]:
        """The next tokens; none when the turn is over. Raises RuntimeError."""
        while self._engine.has_pending_requests():
            tokens = self._run_once()
            if tokens:
                return tokens
        return []

    def _run_once(self) -> list[int]:
        flags = self._loaded.genai.EngineEventFlags
        tokens = []
        for event in self._engine.run(self._events):
            if int(event.flags) & int(flags.FAILED):
                raise RuntimeError(f"the engine gave up: {event.error_code.name}")
            if int(event.flags) & int(flags.TOKEN):
                tokens.append(int(event.token))
        return tokens

    def _stop(self, turn: int) -> None:
        """End a turn early; the cache keeps what was written so far."""
        if self._request is None or not self._engine.has_pending_requests():
            return
        self._request.cancel_turn(turn)
        while self._engine.has_pending_requests():
            self._held += self._run_once()


def _is_thinking(text: str) -> bool:
    """Whether a thought was begun and its end was not."""
    thought = text.removeprefix(THINK)
    return thought not in ("", text) and "<" not in thought

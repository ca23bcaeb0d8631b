"""Generation: one thread owns the model and gives each answer in turn its next token.

Every answer keeps its own keys and values, so a few clients stream side by side at an even pace,
tuned and base alike, and an answer does not depend on who else asks. Beyond `max_active` answers
the next ones wait in line; a full line is refused at once.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from decoding import Sampling, TextStream

if TYPE_CHECKING:
    from model import LoadedModel

log = logging.getLogger(__name__)

# Tokens of a prompt read in one turn: a long prompt must not silence the other clients for long.
PREFILL_TOKENS = 256


class QueueFull(Exception):
    """Too many answers are in the making; ask again in a while."""


class PromptRefused(Exception):
    """The model's own chat template cannot render these messages."""


class GenerationFailed(Exception):
    """The model failed on this answer."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text of the answer. `tokens` counts the answer's tokens so far."""

    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of an answer. `seconds` counts from its first turn, not from the waiting line."""

    reason: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int
    seconds: float


@dataclass(slots=True, eq=False)
class Answer:
    """One answer in the making; the engine's thread owns all but `events` and `is_cancelled`."""

    prompt: list[int]
    tuned: bool
    sampling: Sampling
    loop: asyncio.AbstractEventLoop
    events: asyncio.Queue[Piece | Finished | Exception]
    stream: TextStream
    generator: Any
    pending: list[int]
    cache: Any = None
    tokens: int = 0
    started_at: float = 0.0
    is_cancelled: bool = field(default=False)

    def tell(self, event: Piece | Finished | Exception) -> None:
        """Hand an event to the asking task."""
        try:
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError:  # the loop is closed: the server is going down
            self.is_cancelled = True


class AnswerEvents:
    """The pieces of one answer and, last, how it ended. Closed or dropped early, the work stops.

    Raises GenerationFailed while iterating.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._is_over = False

    def __aiter__(self) -> AnswerEvents:
        """Return itself; it can be read once."""
        return self

    async def __anext__(self) -> Piece | Finished:
        """Return the next event as soon as there is one."""
        if self._is_over:
            raise StopAsyncIteration
        event = await self._answer.events.get()
        self._is_over = not isinstance(event, Piece)
        if isinstance(event, Exception):
            raise event
        return event

    async def aclose(self) -> None:
        """Stop the work, if there is any left."""
        self._answer.is_cancelled = True

    def __del__(self) -> None:
        self._answer.is_cancelled = True


class Engine:
    """Answers for several askers at once. Close it to end its thread."""

    def __init__(self, model: LoadedModel, *, max_active: int = 8, max_waiting: int = 24) -> None:
        self.model = model
        self._max_active = max_active
        self._max_waiting = max_waiting
        self._changed = threading.Condition()
        self._waiting: deque[Answer] = deque()
        self._active: list[Answer] = []
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def load(self) -> tuple[int, int]:
        """Return how many answers are in the making and how many wait, without those given up."""
        active = sum(not answer.is_cancelled for answer in list(self._active))
        return active, sum(not answer.is_cancelled for answer in list(self._waiting))

    def generate(self, prompt: list[int], sampling: Sampling, *, tuned: bool) -> AnswerEvents:
        """Get in line and return the answer's events. Call it from the event loop.

        Raises: QueueFull.
        """
        answer = Answer(
            prompt=prompt,
            tuned=tuned,
            sampling=sampling,
            loop=asyncio.get_running_loop(),
            events=asyncio.Queue(),
            stream=TextStream(self.model.decoder, sampling.stop),
            generator=self.model.make_generator(sampling.seed),
            pending=list(prompt),
        )
        with self._changed:
            self._waiting = deque(each for each in self._waiting if not each.is_cancelled)
            active, waiting = self.load()
            if self._is_closed or active + waiting >= self._max_active + self._max_waiting:
                raise QueueFull(f"{active + waiting} answers are in the making or wait in line.")
            self._waiting.append(answer)
            self._changed.notify()
        return AnswerEvents(answer)

    def close(self) -> None:
        """Stop the thread; answers in the making fail."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(timeout=10)

    def _free_places(self) -> int:
        return max(0, self._max_active - len(self._active))

    def _run(self) -> None:
        while self._admit():
            # Base and tuned are grouped, so that the adapter is switched at most twice a round.
            for answer in sorted(self._active, key=lambda each: each.tuned):
                if answer.is_cancelled or self._step_is_last(answer):
                    self._active.remove(answer)
        for answer in [*self._active, *self._waiting]:
            answer.tell(GenerationFailed("The server is shutting down."))

    def _admit(self) -> bool:
        """Fill the free places from the line, waiting for work; False once closed."""
        with self._changed:
            while not self._is_closed and not self._active and not self._waiting:
                self._changed.wait()
            while self._waiting and self._free_places():
                answer = self._waiting.popleft()
                if not answer.is_cancelled:
                    self._active.append(answer)
            return not self._is_closed

    def _step_is_last(self, answer: Answer) -> bool:
        try:
            finished = self._step(answer)
        except Exception as error:  # one answer's failure must not end the thread
            log.error("An answer failed: %s: %s", type(error).__name__, error)
            log.debug("Details", exc_info=True)
            answer.tell(GenerationFailed(f"The model failed: {type(error).__name__}."))
            return True
        if finished is not None:
            answer.tell(finished)
        return finished is not None

    def _step(self, answer: Answer) -> Finished | None:
        """Read a part of the prompt, or make one token; return how the answer ended once it did."""
        if answer.cache is None:
            answer.cache, answer.started_at = self.model.new_cache(), time.monotonic()
        feed, answer.pending = (
            answer.pending[:PREFILL_TOKENS],
            answer.pending[PREFILL_TOKENS:],
        )
        logits = self.model.forward(feed, answer.cache, tuned=answer.tuned)
        if answer.pending:
            return None
        token = self.model.choose(logits, answer.sampling, answer.generator)
        answer.tokens += 1
        reason: Literal["stop", "length"] | None = None
        if token in self.model.end_ids:
            reason, text = "stop", answer.stream.finish()
        else:
            text = answer.stream.push(token)
            if answer.stream.is_stopped:
                reason = "stop"
            elif answer.tokens >= answer.sampling.max_tokens:
                reason, text = "length", text + answer.stream.finish()
                # What was held back may have completed a stop string only now.
                reason = "stop" if answer.stream.is_stopped else reason
        if text:
            answer.tell(Piece(text, answer.tokens))
        answer.pending = [token]
        if reason is None:
            return None
        seconds = time.monotonic() - answer.started_at
        return Finished(reason, len(answer.prompt), answer.tokens, seconds)

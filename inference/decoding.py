"""How an answer is wanted, and turning its tokens into text piece by piece. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to choose tokens and when to stop. Temperature 0 takes the likeliest token each time."""

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


class Decoder(Protocol):
    """The part of a tokenizer that this module needs."""

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        """Return the text of some tokens."""
        ...


class TextStream:
    """Turns token ids into text that never has to be taken back.

    Text is held back while it may be half a character, or the beginning of a stop string.
    """

    def __init__(self, decoder: Decoder, stop: Sequence[str] = ()) -> None:
        self._decoder = decoder
        self._stop = tuple(text for text in stop if text)
        self._ids: list[int] = []
        self._window_start = 0
        self._window_end = 0
        self._held = ""
        self.is_stopped = False
        """Whether a stop string was met; what follows it is dropped."""

    def push(self, token_id: int) -> str:
        """Add a token; return the text that is certain by now, perhaps none."""
        self._ids.append(token_id)
        fresh = self._fresh_text(is_last=False)
        return self._release(fresh, is_last=False)

    def finish(self) -> str:
        """Return what was held back, once no token follows."""
        return "" if self.is_stopped else self._release(self._fresh_text(is_last=True), True)

    def _fresh_text(self, *, is_last: bool) -> str:
        # A few tokens before are decoded along: a tokenizer may drop the space of a first token.
        known = self._decode(self._window_start, self._window_end)
        text = self._decode(self._window_start, len(self._ids))
        if not is_last and text.endswith("\ufffd"):
            return ""
        self._window_start, self._window_end = self._window_end, len(self._ids)
        return text[len(known) :]

    def _decode(self, start: int, end: int) -> str:
        return self._decoder.decode(self._ids[start:end], skip_special_tokens=True)

    def _release(self, fresh: str, is_last: bool) -> str:
        text = self._held + fresh
        found = [at for at in (text.find(stop) for stop in self._stop) if at >= 0]
        if found:
            self.is_stopped, self._held = True, ""
            return text[: min(found)]
        held = 0 if is_last else self._possible_stop(text)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def _possible_stop(self, text: str) -> int:
        """Return how many characters at the end of `text` may be the beginning of a stop string."""
        return max(
            (
                length
                for stop in self._stop
                for length in range(1, min(len(stop), len(text) + 1))
                if text.endswith(stop[:length])
            ),
            default=0,
        )

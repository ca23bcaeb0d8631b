"""A conversation with one or both models at once, as the page shows it. Knows nothing of Gradio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace

from decoding import Sampling
from engine import Finished, GenerationFailed, Piece, PromptRefused, QueueFull
from service import Service

Message = dict[str, str]


@dataclass(frozen=True, slots=True)
class Side:
    """One model's half of the page: its conversation so far and a line about the last answer."""

    history: tuple[Message, ...] = ()
    note: str = ""

    def asked(self, question: str) -> Side:
        """Return the side with the question and an answer that is still empty."""
        return Side(
            (*self.history, {"role": "user", "content": question}, answer_message("")), "..."
        )

    def answered(self, text: str, note: str) -> Side:
        """Return the side with the last answer replaced."""
        return Side((*self.history[:-1], answer_message(text)), note)


def answer_message(text: str) -> Message:
    """Return a message of the model."""
    return {"role": "assistant", "content": text}


async def ask(
    service: Service, side: Side, *, tuned: bool, system: str, sampling: Sampling
) -> AsyncIterator[Side]:
    """Yield the side as its last, still empty answer grows. Refusals become the note."""
    if service.engine is None:
        yield replace(side, note=service.detail)
        return
    first = [{"role": "system", "content": system}] if system.strip() else []
    said = [message for message in side.history[:-1] if message["content"]]
    text = ""
    try:
        prompt = service.engine.model.render([*first, *said])
        room = service.engine.model.context_tokens - len(prompt)
        if room < 1:
            yield replace(side, note="The conversation fills the model's context. Start a new one.")
            return
        sampling = replace(sampling, max_tokens=min(sampling.max_tokens, room))
        async with aclosing(service.engine.generate(prompt, sampling, tuned=tuned)) as events:
            async for event in events:
                if isinstance(event, Piece):
                    text += event.text
                    yield side.answered(text, f"{event.tokens} tokens ...")
                else:
                    yield side.answered(text, describe_end(event))
    except (GenerationFailed, PromptRefused, QueueFull) as error:
        yield side.answered(text, str(error))


def describe_end(end: Finished) -> str:
    """Return one line: how long, how fast, and whether the answer was cut."""
    speed = f"{end.completion_tokens / end.seconds:.0f} tokens/s" if end.seconds > 0 else ""
    cut = "cut at the limit" if end.reason == "length" else ""
    return ", ".join(part for part in (f"{end.completion_tokens} tokens", speed, cut) if part)


async def ask_all(asked: dict[bool, AsyncIterator[Side]]) -> AsyncIterator[dict[bool, Side]]:
    """Yield what changed, for several sides (tuned or not) that answer at the same time."""
    changes: asyncio.Queue[tuple[bool, Side] | None] = asyncio.Queue()

    async def follow(tuned: bool, sides: AsyncIterator[Side]) -> None:
        try:
            async with aclosing(sides):  # type: ignore[type-var]
                async for side in sides:
                    changes.put_nowait((tuned, side))
        finally:
            changes.put_nowait(None)

    tasks = [asyncio.create_task(follow(tuned, sides)) for tuned, sides in asked.items()]
    try:
        running = len(tasks)
        while running:
            latest: dict[bool, Side] = {}
            # What gathered while the page was being sent goes out together.
            for change in [
                await changes.get(),
                *(changes.get_nowait() for _ in range(changes.qsize())),
            ]:
                if change is None:
                    running -= 1
                else:
                    latest[change[0]] = change[1]
            if latest:
                yield latest
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end

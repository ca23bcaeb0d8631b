"""The body of POST /v1/chat/completions: checked field by field, refused in OpenAI's own shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from decoding import Sampling

DEFAULT_MAX_TOKENS = 512
ROLES = ("system", "developer", "user", "assistant")

# Fields that would change the answer and that this app does not know: refused unless they say
# "as if I were not there". Anything else unknown (user, metadata, store, ...) is ignored.
UNSUPPORTED: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "response_format": ({"type": "text"},),
    "audio": (),
    "modalities": (["text"],),
}


class BadRequest(Exception):
    """A request that cannot be answered. `param` names the field, `code` and `status` the kind."""

    def __init__(
        self, message: str, param: str | None = None, code: str | None = None, status: int = 400
    ) -> None:
        super().__init__(message)
        self.param = param
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A checked request. An empty `model` means the tuned one."""

    model: str
    messages: list[dict[str, str]]
    sampling: Sampling
    stream: bool
    include_usage: bool


def read_request(body: Any) -> ChatRequest:
    """Return the checked request. Raises: BadRequest naming the field."""
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    for name, accepted in UNSUPPORTED.items():
        value = body.get(name)
        if value is not None and value not in accepted:
            raise BadRequest(f"'{name}' is not supported here.", name, "unsupported_parameter")
    model = body.get("model")
    if model is not None and not isinstance(model, str):
        raise BadRequest("'model' must be a string.", "model")
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise BadRequest("'stream_options' must be an object.", "stream_options")
    return ChatRequest(
        model=model or "",
        messages=read_messages(body.get("messages")),
        sampling=Sampling(
            max_tokens=read_max_tokens(body),
            temperature=read_number(body, "temperature", 0.0, 0, 2),
            top_p=read_number(body, "top_p", 1.0, 0, 1),
            seed=read_seed(body.get("seed")),
            stop=read_stop(body.get("stop")),
        ),
        stream=read_flag(body, "stream"),
        include_usage=read_flag(options or {}, "include_usage"),
    )


def read_messages(messages: Any) -> list[dict[str, str]]:
    """Return messages of known roles with plain text; all of them count, history and system too."""
    if not isinstance(messages, list) or not messages:
        raise BadRequest("'messages' must be a list with at least one message.", "messages")
    return [read_message(message, f"messages[{at}]") for at, message in enumerate(messages)]


def read_message(message: Any, where: str) -> dict[str, str]:
    """Return one message; text given as parts is joined."""
    if not isinstance(message, dict):
        raise BadRequest(f"'{where}' must be an object.", where)
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise BadRequest(f"'{where}.role' must be one of {', '.join(ROLES)}.", f"{where}.role")
    if isinstance(content, list):
        parts = [part if isinstance(part, dict) else {} for part in content]
        if any(part.get("type") != "text" for part in parts):
            raise BadRequest(f"'{where}.content' may hold text parts only.", f"{where}.content")
        content = "".join(str(part.get("text", "")) for part in parts)
    if not isinstance(content, str):
        raise BadRequest(f"'{where}.content' must be a string.", f"{where}.content")
    # "developer" is OpenAI's newer word for the system message; templates know the old one.
    return {"role": "system" if role == "developer" else role, "content": content}


def read_max_tokens(body: dict[str, Any]) -> int:
    """Return the most tokens of the answer; the newer field name wins."""
    for name in ("max_completion_tokens", "max_tokens"):
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise BadRequest(f"'{name}' must be a whole number of at least 1.", name)
        return value
    return DEFAULT_MAX_TOKENS


def read_number(body: dict[str, Any], name: str, default: float, low: float, high: float) -> float:
    """Return a number within [low, high]."""
    value = body.get(name)
    if value is None:
        return default
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:  # which NaN fails too
        raise BadRequest(f"'{name}' must be a number from {low} to {high}.", name)
    return float(value)


def read_flag(body: dict[str, Any], name: str) -> bool:
    """Return a true or false that is false when absent."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"'{name}' must be true or false.", name)
    return bool(value)


def read_seed(seed: Any) -> int | None:
    """Return the seed, within what the generator takes."""
    if seed is None:
        return None
    if not isinstance(seed, int) or isinstance(seed, bool) or not -(2**63) <= seed < 2**63:
        raise BadRequest("'seed' must be a whole number of 64 bits.", "seed")
    return seed


def read_stop(stop: Any) -> tuple[str, ...]:
    """Return up to four texts that end the answer."""
    texts = [stop] if isinstance(stop, str) else [] if stop is None else stop
    if (
        not isinstance(texts, list)
        or len(texts) > 4
        or any(not isinstance(text, str) or not text for text in texts)
    ):
        raise BadRequest("'stop' must be a text or a list of up to four texts.", "stop")
    return tuple(texts)

"""The parts that need no model: keys and links, requests, and turning tokens into text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inference_share import INFERENCE

assert INFERENCE  # imported first: it puts the app's folder on the path

import torch  # noqa: E402
from auth import LINK_SECONDS, SESSION_SECONDS, Keyring  # noqa: E402
from choosing import choose_token, make_generator  # noqa: E402
from decoding import Sampling, TextStream  # noqa: E402
from openai_request import BadRequest, read_request  # noqa: E402

KEY = "0123456789abcdef"


class Clock:
    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        return self.time


def cookie(keyring: Keyring, session: str | None) -> str:
    return f"other=1; {keyring.cookie_name}={session}"


def test_a_link_signs_in_once() -> None:
    keyring = Keyring(KEY)
    link = keyring.make_link()
    assert keyring.is_session(cookie(keyring, keyring.redeem_link(link)))
    assert keyring.redeem_link(link) is None


def test_a_link_ends_after_its_minute_and_a_session_after_its_hours() -> None:
    clock = Clock()
    keyring = Keyring(KEY, clock)
    late, used = keyring.make_link(), keyring.make_link()
    session = keyring.redeem_link(used)
    clock.time += LINK_SECONDS
    assert keyring.redeem_link(late) is None
    assert keyring.is_session(cookie(keyring, session))
    clock.time += SESSION_SECONDS
    assert not keyring.is_session(cookie(keyring, session))


def test_a_link_ends_with_the_process_that_made_it_and_a_session_does_not() -> None:
    clock = Clock()
    before = Keyring(KEY, clock)
    used, unused = before.make_link(), before.make_link()
    session = before.redeem_link(used)
    clock.time += 5
    after = Keyring(KEY, clock)
    assert after.redeem_link(used) is None
    assert after.redeem_link(unused) is None
    assert after.is_session(cookie(after, session))
    assert after.redeem_link(after.make_link())


def test_a_link_is_no_session_and_another_key_signs_nothing() -> None:
    keyring, other = Keyring(KEY), Keyring(KEY + "x")
    assert not keyring.is_session(cookie(keyring, keyring.make_link()))
    assert keyring.redeem_link(other.make_link()) is None
    assert keyring.cookie_name != other.cookie_name


@pytest.mark.parametrize("token", ["", "-", "---", "9999999999-aa-bb", "x" * 5000, "é-ü-ö"])
def test_nonsense_is_no_link(token: str) -> None:
    assert Keyring(KEY).redeem_link(token) is None


@pytest.mark.parametrize(
    ("header", "is_right"),
    [
        (f"Bearer {KEY}", True),
        (f"bearer  {KEY}", True),
        (f"Bearer {KEY}x", False),
        (f"Basic {KEY}", False),
        (KEY, False),
        ("Bearer", False),
        ("", False),
        ("Bearer ключ", False),
    ],
)
def test_only_the_whole_key_opens(header: str, is_right: bool) -> None:
    assert Keyring(KEY).is_key(header) is is_right


HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]


def test_history_and_system_message_are_kept() -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
    ]
    read = read_request({"messages": messages}).messages
    assert [message["role"] for message in read] == ["system", "user", "assistant", "user"]
    assert [message["content"] for message in read] == ["Be brief.", "ab", "c", "d"]


def test_defaults_are_greedy_and_the_newer_limit_wins() -> None:
    request = read_request({"messages": HELLO, "max_tokens": 7, "max_completion_tokens": 5, "n": 1})
    assert request.sampling == Sampling(5, 0.0, 1.0, None, ())
    assert not request.stream


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content",
        ),
        ({"model": 3}, "model"),
        ({"n": 2}, "n"),
        ({"tools": [{}]}, "tools"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"frequency_penalty": 1}, "frequency_penalty"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"temperature": 10**400}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": 3}, "stop"),
        ({"seed": 2**63}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": []}, "stream_options"),
    ],
)
def test_a_bad_field_is_named(change: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_request({"messages": HELLO, **change})
    assert caught.value.param == param


@pytest.mark.parametrize("body", [None, [], "x", 3])
def test_a_body_that_is_no_object_is_refused(body: Any) -> None:
    with pytest.raises(BadRequest):
        read_request(body)


class Bytes:
    """A tokenizer whose tokens are bytes, so that a character may take several."""

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool) -> str:
        assert skip_special_tokens
        return bytes(token_ids).decode("utf-8", errors="replace")


def stream_text(text: str, stop: list[str]) -> tuple[list[str], bool]:
    stream = TextStream(Bytes(), stop)
    pieces: list[str] = []
    for token in text.encode():
        pieces.append(stream.push(token))
        if stream.is_stopped:
            return pieces, True
    pieces.append(stream.finish())
    return pieces, stream.is_stopped


@given(st.text(alphabet="abé→🙂 ", max_size=20), st.lists(st.text("abé🙂", min_size=1, max_size=3)))
def test_streamed_text_is_the_text_up_to_the_first_stop(text: str, stop: list[str]) -> None:
    pieces, is_stopped = stream_text(text, stop)
    ends = [at + len(each) for each in stop if (at := text.find(each)) >= 0]
    # The stop that is complete first ends the answer; of those complete there, the longest counts.
    first = min(ends, default=None)
    starts = [text.find(each) for each in stop if first and text[:first].endswith(each)]
    assert "".join(pieces) == (text if first is None else text[: min(starts)])
    assert is_stopped is (first is not None)
    assert all("\ufffd" not in piece for piece in pieces)


def test_text_streams_as_soon_as_it_is_certain() -> None:
    assert stream_text("aé", [])[0] == ["a", "", "é", ""]
    assert stream_text("abac", ["abb"])[0] == ["", "", "ab", "ac", ""]


def test_greedy_takes_the_likeliest_and_a_seed_repeats_itself() -> None:
    logits = torch.tensor([0.1, 3.0, 2.9, 0.0])
    assert choose_token(logits, Sampling(1), make_generator(None)) == 1

    def draw(seed: int) -> list[int]:
        generator = make_generator(seed)
        return [choose_token(logits, Sampling(1, 1.0), generator) for _ in range(40)]

    assert draw(5) == draw(5)
    assert draw(5) != draw(6)
    assert len(set(draw(5))) > 1


def test_top_p_leaves_the_unlikely_out() -> None:
    logits = torch.log(torch.tensor([0.05, 0.5, 0.3, 0.15]))
    generator = make_generator(0)
    drawn = {choose_token(logits, Sampling(1, 1.0, 0.7), generator) for _ in range(200)}
    assert drawn == {1, 2}
    assert {choose_token(logits, Sampling(1, 1.0, 0.0), generator) for _ in range(50)} == {1}

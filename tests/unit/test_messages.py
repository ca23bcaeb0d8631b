"""The catalogue has every sentence that the code asks for, and fills it in."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from string import Formatter

import pytest
import tunesmith
from tunesmith.ops import OPERATIONS

PACKAGE = Path(tunesmith.__file__).parent
FILES = sorted((PACKAGE / "core/messages").glob("en*.toml"))
KEY = re.compile(r'\btext\(\s*"([\w.]+)"')
ERROR = re.compile(r'\b(?:[A-Z]\w*Error|ToolMissing)\(\s*"([a-z]+\.\w+)"')


def sentences():
    for file in sorted(PACKAGE.rglob("*.py")):
        if file.name == "files_port.py":
            continue  # names codes in its contract only
        content = file.read_text("utf-8")
        yield from KEY.findall(content)
        for code in ERROR.findall(content):
            yield from (f"errors.{code}.message", f"errors.{code}.hint")


@pytest.mark.parametrize("key", sorted(set(sentences())))
def test_key_exists(key):
    text_of(key)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_what_goes_on_after_a_cancel_is_said(name):
    operation = OPERATIONS[name]
    if operation.long and operation.still_running:
        text_of(operation.still_running)


def text_of(key):
    assert key in CATALOGUE


def flat(node, path=""):
    for key, inner in node.items():
        at = f"{path}.{key}" if path else key
        if isinstance(inner, str):
            yield at, inner
        else:
            yield from flat(inner, at)


CATALOGUE = {
    key: sentence
    for file in FILES
    for key, sentence in flat(tomllib.loads(file.read_text("utf-8")))
}


@pytest.mark.parametrize("key", sorted(CATALOGUE))
def test_every_sentence_is_a_template_that_can_be_filled(key):
    assert CATALOGUE[key]
    list(Formatter().parse(CATALOGUE[key]))

"""The catalogue has every sentence that the code asks for, and fills it in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tunesmith
from tunesmith.core.messages import text
from tunesmith.ops import OPERATIONS

PACKAGE = Path(tunesmith.__file__).parent
KEY = re.compile(r'\btext\(\s*"([\w.]+)"')
ERROR = re.compile(r'\b(?:[A-Z]\w*Error|ToolMissing)\(\s*"([a-z]+\.\w+)"')


class Anything(dict):
    def __missing__(self, key):
        return 1


def sentences():
    for file in sorted(PACKAGE.rglob("*.py")):
        if file.name == "files_port.py":
            continue  # names codes in its contract only
        content = file.read_text("utf-8")
        for key in KEY.findall(content):
            yield key
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
    try:
        return text(key)
    except KeyError as e:
        if str(e).strip("'") in key:
            raise
        return None  # a value to fill in is missing, so the sentence is there
    except (IndexError, ValueError):
        raise

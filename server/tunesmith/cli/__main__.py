"""The command `tunesmith`. Nothing slow is imported before it is known what is asked for."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tunesmith import __version__
from tunesmith.cli import exit_codes
from tunesmith.cli.usage import UsageError

if TYPE_CHECKING:
    from tunesmith.cli.terminal import Terminal

_SHARED = ("--json", "-y", "--yes", "-v", "--verbose")
_TOP = ("demo", "doctor", "lsp")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code. Never lets a traceback out."""
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words
    try:
        return _dispatch(words)
    except UsageError as error:
        from tunesmith.cli.failure import misused

        return misused(error, as_json=as_json)
    except BrokenPipeError:
        # The reader has gone (`| head`); what is still buffered has no place to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.OK
    except KeyboardInterrupt:
        from tunesmith.cli.failure import cancelled

        return cancelled("", as_json=as_json)
    except Exception as error:
        return _failed(error, " ".join(words), as_json)


def _failed(error: Exception, line: str, as_json: bool) -> int:
    from tunesmith.cli import failure
    from tunesmith.cli.execute import Cancelled
    from tunesmith.core.errors import TunesmithError

    if isinstance(error, TunesmithError):
        return failure.refused(error, as_json=as_json)
    if isinstance(error, Cancelled):
        return failure.cancelled(error.still_running, as_json=as_json)
    if isinstance(error, OSError) and (known := failure.disk_refusal(error)):
        return failure.refused(known, as_json=as_json)
    return failure.bug(error, f"tunesmith {line}", as_json=as_json)


def _dispatch(words: list[str]) -> int:
    # `tunesmith --json run list` means `tunesmith run list --json`.
    leading: list[str] = []
    while words and words[0] in _SHARED:
        leading.append(words.pop(0))
    if words and words[0] in ("--version", "-V"):
        sys.stdout.write(f"tunesmith {__version__}\n")
        return exit_codes.OK
    if not words or words[0] in ("-h", "--help", "help"):
        from tunesmith.cli.help import top_help

        sys.stdout.write(top_help())
        return exit_codes.OK
    name, rest = words[0], words[1:] + leading
    if name == "lsp":
        from tunesmith.cli.serve import serve

        return serve(rest)
    if name == "demo":
        from tunesmith.cli.demo import demo_command

        return demo_command(rest)
    return _run_operation(name, rest)


def _run_operation(noun: str, words: list[str]) -> int:
    from tunesmith.cli.commands import commands
    from tunesmith.cli.help import NOUNS, noun_help, operation_help

    known = commands()
    if noun not in NOUNS and noun not in known:
        raise UsageError(f"There is no command {noun!r}{_meant(noun, (*NOUNS, *_TOP))}")
    name = noun
    if noun not in known:
        verbs = [key.partition("/")[2] for key in known if key.startswith(noun + "/")]
        if not words or words[0] in ("-h", "--help"):
            sys.stdout.write(noun_help(noun))
            return exit_codes.OK if words else exit_codes.USAGE
        verb, words = words[0], words[1:]
        if verb not in verbs:
            about = f"{noun} cannot {verb!r}" if not verb.startswith("-") else f"{noun} what?"
            raise UsageError(about + _meant(verb, verbs), f"tunesmith {noun}")
        name = f"{noun}/{verb}"
    operation = known[name]

    from tunesmith.cli.flags import flags_of, parse

    given, shared, wants_help = parse(operation, words)
    if wants_help:
        sys.stdout.write(operation_help(operation, _form_rows(name)))
        return exit_codes.OK
    _set_up_logging(shared.verbose)
    from tunesmith.cli.execute import execute
    from tunesmith.cli.terminal import open_terminal

    terminal = open_terminal()
    if name == "project/create" and terminal.is_interactive and not (shared.yes or shared.json):
        given = _asked(given, terminal)
    missing = [flag for flag in flags_of(operation) if flag.required and flag.field not in given]
    if missing:
        needs = ", ".join(flag.field.upper() for flag in missing)
        raise UsageError(f"{needs} is missing", f"tunesmith {name.replace('/', ' ')}")
    return execute(operation, operation.params(**given), terminal, shared)


def _form_rows(name: str) -> list[tuple[str, str]]:
    if name != "project/create":
        return []
    from tunesmith.cli.form import form_fields

    return [(field.name, f"{field.label} [{field.default}]") for field in form_fields()]


def _asked(given: dict[str, Any], terminal: Terminal) -> dict[str, Any]:
    """Fill in a new project's form: the folder if it is missing, the rest if nothing was given."""
    from tunesmith.cli.form import ask_fields, ask_folder

    full = dict(given)
    if "folder" not in full:
        full["folder"] = ask_folder(terminal)
    if not full.keys() & {"model", "dataset", "values"}:
        full["values"] = ask_fields(terminal)
    return full


def _meant(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f" (there are: {', '.join(known)})"


def _set_up_logging(verbose: bool) -> None:
    import logging

    if verbose:
        logging.basicConfig(
            level=logging.DEBUG, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s"
        )
        # These write request headers and bodies, keys among them, at debug level.
        for name in ("azure", "urllib3", "msal", "aiohttp", "asyncio"):
            logging.getLogger(name).setLevel(logging.WARNING)
    else:
        logging.getLogger().addHandler(logging.NullHandler())


if __name__ == "__main__":
    sys.exit(main())

"""`tunesmith lsp`: the language server on stdin and stdout."""

from __future__ import annotations

import sys

from tunesmith.cli import exit_codes
from tunesmith.cli.usage import UsageError
from tunesmith.core.messages import text


def serve(words: list[str]) -> int:
    """Serve until the client leaves. `--stdio` is what many clients add; it is all there is."""
    words = [word for word in words if word != "--stdio"]
    if words in (["-h"], ["--help"]):
        from tunesmith.cli.help import command_help

        sys.stdout.write(command_help("lsp", text("cli.help.lsp"), [], []))
        return exit_codes.OK
    if words:
        raise UsageError(f"lsp takes no {words[0]!r}", "tunesmith lsp")
    from tunesmith.lsp.server import serve_stdio

    serve_stdio()
    return exit_codes.OK

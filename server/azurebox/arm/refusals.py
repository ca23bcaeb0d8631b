"""The refusals of ARM's template engine, in its words."""

from __future__ import annotations

from typing import Any

from azurebox.errors import ArmError


class TemplateError(Exception):
    """Something wrong with a template or its parameters.

    `path`: where, as in "properties.template.resources[0].name" ("" when it is nowhere in it).
    """

    def __init__(self, message: str, path: str = "", code: str = "InvalidTemplate") -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.code = code

    def without_place(self) -> str:
        """Return the message where there is no request's text to point into."""
        return self.message.replace("{line}", "1").replace("{column}", "1")

    def to_arm(self, line: int = 0, column: int = 0) -> ArmError:
        """Return the answer ARM gives: 400 with the place of the violation."""
        info: dict[str, Any] = {"lineNumber": line, "linePosition": column, "path": self.path}
        return ArmError(
            400,
            self.code,
            self.message,
            additional_info=[{"type": "TemplateViolation", "info": info}],
        )


def validation_failed(reason: str, path: str = "") -> TemplateError:
    """Return the refusal of a template that ARM rejects before it evaluates anything."""
    return TemplateError(f"Deployment template validation failed: '{reason}'.", path)

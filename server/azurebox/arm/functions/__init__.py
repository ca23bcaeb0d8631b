"""The functions of template expressions. Importing this package fills the table."""

from azurebox.arm.functions import (
    arrays,
    conversions,
    dates,
    deployment,
    encoding,
    hashes,
    lambdas,
    logic,
    networks,
    numbers,
    objects,
    resources,
    strings,
)
from azurebox.arm.functions.registry import find_function, function_names, is_function

__all__ = [
    "arrays",
    "conversions",
    "dates",
    "deployment",
    "encoding",
    "find_function",
    "function_names",
    "hashes",
    "is_function",
    "lambdas",
    "logic",
    "networks",
    "numbers",
    "objects",
    "resources",
    "strings",
]

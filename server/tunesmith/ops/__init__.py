"""Operations: one module a noun, one function a verb. Importing this package registers them all."""

from tunesmith.ops import doctor, endpoint, infra, project, run, share, target
from tunesmith.ops.registry import OPERATIONS, Operation

__all__ = [
    "OPERATIONS",
    "Operation",
    "doctor",
    "endpoint",
    "infra",
    "project",
    "run",
    "share",
    "target",
]

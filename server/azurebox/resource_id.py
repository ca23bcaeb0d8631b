"""ARM resource ids: /subscriptions/S/resourceGroups/G/providers/NS/type/name[/type/name...]."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResourceId:
    """An id taken apart. ARM compares ids without regard to case: use `key` for look-ups.

    `type` is "Microsoft.App/jobs" style with the namespace; `names` has one entry per type segment.
    """

    subscription: str
    group: str
    type: str
    names: tuple[str, ...]

    @classmethod
    def parse(cls, path: str) -> ResourceId:
        """Take a path such as /subscriptions/.../providers/Microsoft.App/jobs/j apart.

        Raises: ValueError when the path is not the id of a resource in a resource group.
        """
        parts = path.strip("/").split("/")
        if (
            len(parts) < 8
            or len(parts) % 2
            or [parts[i].lower() for i in (0, 2, 4)]
            != ["subscriptions", "resourcegroups", "providers"]
        ):
            raise ValueError(f"not a resource id: {path}")
        type_name = "/".join([parts[5], *parts[6::2]])
        return cls(parts[1], parts[3], type_name, tuple(parts[7::2]))

    def __str__(self) -> str:
        namespace, *types = self.type.split("/")
        pairs = "".join(f"/{t}/{n}" for t, n in zip(types, self.names, strict=True))
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
            f"/providers/{namespace}{pairs}"
        )

    @property
    def key(self) -> str:
        """The id in lower case, equal for ids that ARM holds to be the same."""
        return str(self).lower()

    @property
    def name(self) -> str:
        """The last name segment."""
        return self.names[-1]

    @property
    def parent(self) -> ResourceId | None:
        """The resource this one is a child of, or None."""
        if len(self.names) == 1:
            return None
        return ResourceId(
            self.subscription, self.group, self.type.rpartition("/")[0], self.names[:-1]
        )

"""How a step is told from another one of the same name."""

from __future__ import annotations

from .domain.errors import DuplicateStep
from .domain.json import storable


class Branch:
    """One of several calls that run side by side in a scope: their steps must differ in name, whatever the timing."""

    __slots__ = ("_names", "outer", "scope")

    def __init__(self, scope: Scope, names: dict[str, Branch], outer: Branch | None) -> None:
        self.scope = scope
        self.outer = outer if outer is not None and outer.scope is scope else None
        self._names = names

    def claims(self, name: str) -> bool:
        """Whether no branch beside this one, or beside one it grows from, has a step of that name."""
        ours = self._names.setdefault(name, self) is self
        return ours and (self.outer is None or self.outer.claims(name))


class Scope:
    """The steps that are called from one place: the function itself, or the inside of another step."""

    __slots__ = ("_counts", "_under_way", "again", "channels", "prefix")

    def __init__(self, prefix: str, again: bool = False) -> None:
        self.prefix = prefix
        self.again = again
        self._counts: dict[str, int] = {}
        self._under_way: set[str] = set()
        self.channels: set[str] = set()

    def enter(self, name: str, branch: Branch | None = None) -> tuple[str, int]:
        apart = branch is None or branch.scope is not self or branch.claims(name)
        if name in self._under_way or not apart:
            raise DuplicateStep(
                f"two steps named {name!r} run side by side; give each a name of its own, so that a resume finds its "
                "result"
            )
        path = self.prefix + storable(name, "the step's name")
        if len(path) > 255:
            raise DuplicateStep(f"the step's name {path[:40]!r}… is longer than 255 characters: shorten it")
        self._under_way.add(name)
        occurrence = self._counts.get(name, 0)
        self._counts[name] = occurrence + 1
        return path, occurrence

    def leave(self, name: str) -> None:
        self._under_way.discard(name)

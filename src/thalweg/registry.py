"""One door for what is added from outside: ours by a table, others' by entry points, or by `register`.

    [project.entry-points."thalweg.samplers"]
    mine = "package.module:ALGORITHM"

Nothing is imported before it is asked for by its name, and no entry point is looked for before the first use.
"""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from thalweg.errors import InputError, guarded, shown

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """Things of one kind by their names, ours first; all by one way, whoever made them.

    Attributes:
        ours: by name.
        registered: by name; a worker process has none but those that it is given.
    """

    def __init__(
        self, what: str, group: str, ours: Mapping[str, T], fits: Callable[[Any], bool], wanted: str
    ) -> None:
        """Keep the table; nothing is looked for yet.

        Args:
            what: a thing of the kind is called, in messages.
            group: of entry points.
            ours: by name.
            fits: whether a thing is of the kind.
            wanted: what to give, in messages.
        """
        self.what, self.group, self.ours, self.fits, self.wanted = what, group, dict(ours), fits, wanted
        self.registered: dict[str, T] = {}
        self._loaded: dict[str, T] = {}

    @cached_property
    def _points(self) -> dict[str, list[EntryPoint]]:
        """Entry points by name; a name that two distributions give has two."""
        found: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=self.group):
            found.setdefault(point.name, []).append(point)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter({**self.ours, **self._points, **self.registered})

    def __len__(self) -> int:
        return len({**self.ours, **self._points, **self.registered})

    def __contains__(self, name: object) -> bool:
        return name in self.ours or name in self.registered or name in self._points

    def __getitem__(self, name: str) -> T:
        """The thing of a name.

        Raises:
            InputError: no such name, one that several give, a plug-in that cannot be imported or is another thing.
        """
        if name not in self:
            raise InputError(f"unknown {self.what} {shown(str(name))!r}: {self.hint(name)}")
        points = self._points.get(name, [])
        givers = [*(["thalweg"] if name in self.ours else []), *(["register"] if name in self.registered else [])]
        givers += [_giver(point) for point in points]
        if len(givers) > 1:
            raise InputError(
                f"{self.what} {shown(name)!r} is given by {' and by '.join(givers)}: leave one of them out"
            )
        if name in self.ours:
            return self.ours[name]
        return self.registered[name] if name in self.registered else self._load(points[0])

    def get(self, name: str, default: Any = None) -> Any:
        """The thing of a name, or what is given where there is no such name."""
        if name not in self:
            return default
        return self[name]

    def hint(self, name: str) -> str:
        """The name that is nearest to one that there is not, or all."""
        near = get_close_matches(str(name), list(self), 1)
        return f"is it {near[0]!r}?" if near else f"there are {', '.join(self)}"

    def register(self, name: str, thing: T, *, over: bool = False) -> T:
        """Add a thing, for as long as the process lives.

        Args:
            name: by which it is asked for.
            thing: of the kind.
            over: whether it may take the place of one that was registered before, as in a notebook.

        Returns:
            The thing.

        Raises:
            InputError: the name is taken, or the thing is of another kind.
        """
        if name in self and not (over and name in self.registered):
            raise InputError(f"{self.what} {shown(name)!r} is there already: give another name")
        self.registered[name] = self._checked(thing, f"{self.what} {shown(name)!r}")
        return thing

    def _load(self, point: EntryPoint) -> T:
        """Import what an entry point names, once."""
        if point.name not in self._loaded:
            told = f"{self.what} {shown(point.name)!r} of {_giver(point)}"
            with guarded(told, "mend or uninstall that distribution"):
                thing = point.load()
            self._loaded[point.name] = self._checked(thing, told)
        return self._loaded[point.name]

    def _checked(self, thing: Any, told: str) -> T:
        """Refuse what is of another kind."""
        if not self.fits(thing):
            raise InputError(f"{told} is a {type(thing).__name__}: give {self.wanted}")
        return thing


def _giver(point: EntryPoint) -> str:
    """The distribution of an entry point, with its version."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


__all__ = ["Registry"]

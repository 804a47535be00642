"""How a whole is put together from parts that can be replaced one by one.

    class Kitchen(Assembly):
        @Part
        def water(self) -> Water: return Water()
        @Part
        def tea(self) -> Tea: return Tea(self.water)

`Kitchen().tea` is built once, when first asked for. `Kitchen(water=lambda kitchen: Rain())` makes its tea of rain;
`Kitchen.water.build(kitchen)` is the kitchen's own way to build it, for a replacement that wraps it.
"""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

_Whole = TypeVar("_Whole", bound="Assembly")
_Built = TypeVar("_Built")


class Part(Generic[_Whole, _Built]):
    """A part of an `Assembly`, built when it is first asked for: by its replacement where there is one."""

    def __init__(self, build: Callable[[_Whole], _Built]) -> None:
        self.build = build
        self._name = build.__name__
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, whole: None, owner: type[_Whole]) -> "Part[_Whole, _Built]": ...
    @overload
    def __get__(self, whole: _Whole, owner: type[_Whole]) -> _Built: ...
    def __get__(self, whole: _Whole | None, owner: type[_Whole]) -> "Part[_Whole, _Built] | _Built":
        if whole is None:
            return self
        built: _Built = whole.replacements.get(self._name, self.build)(whole)
        whole.__dict__[self._name] = built  # found before this descriptor from now on
        return built


class Assembly:
    """What has parts. Whatever stands on a replaced part is built on the replacement.

    Raises:
        TypeError: a replacement for a part that does not exist.
    """

    def __init__(self, **replacements: Callable[[Any], Any]) -> None:
        unknown = replacements.keys() - set(self.names())
        if unknown:
            raise TypeError(f"there is no part {min(unknown)!r} to replace")
        self.replacements = replacements

    @classmethod
    def names(cls) -> list[str]:
        """Every part, a base class's before its subclass's own."""
        kinds = reversed(cls.__mro__)
        return [name for kind in kinds for name, found in vars(kind).items() if isinstance(found, Part)]

    def assemble(self) -> Self:
        """Builds every part now, so that a wrong setting is found before anything is served."""
        for name in self.names():
            getattr(self, name)
        return self

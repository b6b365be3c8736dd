"""Recipes: functions, registered by name, that return the members of an archive.

A row names a recipe and its arguments. It never chooses any other code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any, Final, TypeVar

from django.core.exceptions import ObjectDoesNotExist
from django.http import Http404

__all__ = ["Recipe", "UnknownRecipeError", "WrongArgumentsError", "recipe_of", "zip_export"]

_Function = TypeVar("_Function", bound=Callable[..., Any])
_MAX_LENGTH: Final = 100  # that of the column
_TAKEN: Final = frozenset({"filename", "owner"})  # those of `request_zip`


class UnknownRecipeError(LookupError):
    """No recipe is registered under a name: there is a spelling mistake, or an old deployment."""


class WrongArgumentsError(TypeError):
    """A recipe takes other arguments, or they aren't JSON: a mistake, or a row of long ago."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A function that returns members, and who may have them: see `zip_export`."""

    name: str
    members: Callable[..., Any]
    allowed: Callable[..., bool]
    compress: bool | None = None
    shareable: bool = False

    def is_allowed(self, user: Any, arguments: Mapping[str, Any]) -> bool:
        """Return whether a user may have the archive of these arguments.

        Nobody may have what isn't there: who guesses what is learns nothing from an error.

        Raises:
            WrongArgumentsError: It is asked of other arguments.
        """
        self._check_call(self.allowed, user, **arguments)
        try:
            return bool(self.allowed(user, **arguments))
        except (Http404, ObjectDoesNotExist):
            return False

    def _check_call(self, called: Callable[..., Any], /, *args: Any, **arguments: Any) -> None:
        try:
            signature(called).bind(*args, **arguments)
        except TypeError as error:
            raise WrongArgumentsError(f"the recipe {self.name!r}: {error}") from error

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raise WrongArgumentsError unless the function takes these, and JSON keeps them."""
        self._check_call(self.members, **arguments)
        try:
            kept = json.loads(json.dumps(arguments, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise WrongArgumentsError(f"the arguments of a recipe must be JSON: {error}") from error
        if kept != arguments:
            raise WrongArgumentsError(
                f"the arguments of a recipe must come back from JSON as they are, {kept!r} for "
                f"{arguments!r} do not: use lists for tuples, and text as keys"
            )


_recipes: Final[dict[str, Recipe]] = {}


def zip_export(
    name: str,
    *,
    allowed: Callable[..., bool],
    compress: bool | None = None,
    shareable: bool = False,
) -> Callable[[_Function], _Function]:
    """Register a function as the recipe of archives that are built in the background.

    Put it into a module `zip_exports` of an app, which is imported when Django starts. The function
    takes keyword arguments, which are JSON, and returns members, as for `zip_response`. It is
    called several times for one archive, in any process, and has to return the same then.

    Args:
        name: What rows know the recipe by. It should stay.
        allowed: Called with a user and the arguments: whether this user may have the archive. It is
            asked at the request, before building, and at every download. ObjectDoesNotExist and
            Http404 mean no, too.
        compress: As for `zip_response`.
        shareable: Whether `get_share_url` may make links for people without an account.
    """
    if not (isinstance(name, str) and 0 < len(name) <= _MAX_LENGTH):
        raise ValueError(f"a recipe's name must be text, up to {_MAX_LENGTH} long, not {name!r}")
    if not callable(allowed):
        raise TypeError(f"allowed must be a function of a user and the arguments, not {allowed!r}")

    def register(function: _Function) -> _Function:
        if taken := sorted(_TAKEN & signature(function).parameters.keys()):
            raise ValueError(f"a recipe can't have a parameter named {taken[0]!r}")
        known = _recipes.get(name)
        if known is not None and _place(known.members) != _place(function):
            raise ValueError(f"two recipes are named {name!r}: that of {known.members!r}, and this")
        _recipes[name] = Recipe(name, function, allowed, compress, shareable)
        return function

    return register


def recipe_of(name: str) -> Recipe:
    """Return a recipe. Raises UnknownRecipeError."""
    try:
        return _recipes[name]
    except KeyError:
        known = ", ".join(sorted(_recipes)) or "none"
        raise UnknownRecipeError(f"there is no recipe {name!r}; known are: {known}") from None


def _place(function: Callable[..., Any]) -> tuple[str, str]:
    """Return where a function is defined: a module that is imported again defines it again."""
    return function.__module__, function.__qualname__

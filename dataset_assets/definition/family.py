"""Families: a plain function whose signature is the axes, and that returns a dataset for their values."""

import inspect
from dataclasses import dataclass, field, replace
from itertools import islice, product
from typing import Any, Callable, Iterable, Iterator, Literal, Mapping, Sequence, get_args, get_origin, get_type_hints

from dataset_assets.core.axes import KINDS, Axis, completed, member_name, shown, values_beginning
from dataset_assets.core.frozen import FrozenMapping
from dataset_assets.core.names import check_dataset_name, is_member, split_member
from dataset_assets.core.selectors import AXIS
from dataset_assets.definition.dataset import Dataset
from dataset_assets.errors import DatasetAssetsError, DefinitionError, NameNotAllowed, UsageError, nearest

MOST_LISTED = 10_000


@dataclass(frozen=True, eq=False)
class Family:
    """Datasets that one function defines: a member for each choice of its arguments, which are the axes.

        def reviews(lang: Literal["en", "fr"], size: Literal["small", "large"] = "small") -> Dataset: ...

        family = Family("org.example.reviews", "Reviews in two languages.", reviews)

    A member is `family(lang="fr")`, or by its name `org.example.reviews[lang=fr,size=small]`: the axes in any order,
    those with a default may be left out. An axis is annotated as a `Literal`, str, int, float or bool. `not_identity`
    names axes, with a default, that do not change the data: members that differ in them only are one dataset.
    `example` gives values for the example that is shown. The function runs only when a member is asked for.
    Raises `DefinitionError` for a function that does not fit.
    """

    name: str
    summary: str
    function: Callable[..., Dataset]
    not_identity: tuple[str, ...] = ()
    example: Mapping[str, Any] = field(default_factory=dict)
    axes: tuple[Axis, ...] = field(init=False)
    choices: Mapping[str, tuple[str, ...]] = field(init=False)
    """The values of the axes that have few: those of a `Literal`, and true and false."""
    _shown: Mapping[str, str] = field(init=False, repr=False)
    """The values of the example, as a name has them."""

    def __post_init__(self) -> None:
        if is_member(check_dataset_name(self.name)):
            raise NameNotAllowed(f"{self.name} names a member. Give the family a name without axes.")
        try:
            object.__setattr__(self, "not_identity", _names(self.not_identity))
            object.__setattr__(self, "example", _values(self.example))
            self._read_signature()
            object.__setattr__(self, "_shown", self._texts_of_example())
        except (DefinitionError, UsageError) as error:
            raise DefinitionError(f"{self.name}: {error}") from None

    def __call__(self, **values: Any) -> Dataset:
        """Return the member with these values. Raises `UsageError` for a value that the axis does not have."""
        axes = {axis.name: axis for axis in self.axes}
        for name in values:
            if name not in axes:
                raise NameNotAllowed(f"{self.name} has no axis {name!r}.{nearest(name, axes)}")
        return self.member({name: axes[name].text(value) for name, value in values.items()})

    def member(self, given: Mapping[str, str]) -> Dataset:
        """Return the member with these values, as a name has them. Raises `NameNotAllowed`."""
        chosen = self._chosen(given)
        values = {axis.name: axis.value(chosen[axis.name]) for axis in self.axes}
        found, made = member_name(self.name, self.axes, chosen), self._called(values)
        if not isinstance(made, Dataset):
            raise DefinitionError(f"{found}: {self.function.__qualname__} returned {shown(made)}. Return a Dataset.")
        if made.name != self.name:
            raise DefinitionError(f"{found}: its dataset is named {made.name}. Name it {self.name} in the function.")
        if made.aliases:
            raise DefinitionError(
                f"{found}: its dataset has the alias {made.aliases[0]}, but an alias names one dataset only. Leave out "
                "the aliases in the function."
            )
        return replace(made, name=found, axes=self.axes)

    def named(self, name: str) -> Dataset:
        """Return the member with this name."""
        return self.member(split_member(name)[1])

    def members(self) -> Iterator[str]:
        """Yield the names of all members; no member is made. Raises `UsageError` if an axis has no list of values."""
        if open_axes := self.open_axes:
            raise UsageError(
                f"The members of {self.name} cannot be listed: {', '.join(open_axes)} may have any value. Name one, "
                f"such as {self.example_name}."
            )
        yield from self._named({axis.name: self.choices[axis.name] for axis in self.axes if axis.identity})

    def listed(self) -> list[str]:
        """Return the names of all members. Raises `UsageError` if they cannot be listed, or are too many."""
        if (count := self.count()) is not None and count > MOST_LISTED:
            raise UsageError(
                f"{self.name} has {count} members, and at most {MOST_LISTED} are listed. Name one, such as "
                f"{self.example_name}."
            )
        return [*self.members()]

    @property
    def open_axes(self) -> list[str]:
        """The axes of the identity that may have any value of their type."""
        return [axis.name for axis in self.axes if axis.identity and axis.name not in self.choices]

    def count(self) -> int | None:
        """Return the number of members; None if an axis may have any value."""
        total = 1
        for axis in self.axes:
            if axis.identity:
                total *= len(self.choices.get(axis.name, ()))
        return None if self.open_axes else total

    def first_members(self, most: int = MOST_LISTED, beginning: str = "") -> list[str]:
        """Return the names of the first members that begin so; none if they cannot be listed."""
        if self.open_axes:
            return []
        # The values are narrowed first: a member that begins so may come after very many others.
        values = values_beginning(self.name, {a.name: self.choices[a.name] for a in self.axes if a.identity}, beginning)
        return [*islice((name for name in self._named(values) if name.startswith(beginning)), most)]

    def _named(self, values: Mapping[str, Sequence[str]]) -> Iterator[str]:
        axes = [axis for axis in self.axes if axis.identity]
        for chosen in product(*(values[axis.name] for axis in axes)):
            yield member_name(self.name, axes, dict(zip([axis.name for axis in axes], chosen)))

    @property
    def example_name(self) -> str:
        """The name of the member that is shown as an example."""
        return member_name(self.name, self.axes, self._shown)

    def as_dataset(self) -> Dataset:
        """Return the example with the name and summary of the family, for a search."""
        return replace(self.named(self.example_name), name=self.name, summary=self.summary)

    def _called(self, values: Mapping[str, Any]) -> Any:
        try:
            return self.function(**values)
        except DatasetAssetsError:
            raise
        except Exception as error:
            arguments = ", ".join(f"{name}={shown(value)}" for name, value in values.items())
            raise DefinitionError(
                f"{self.name}: {self.function.__qualname__}({arguments}) raised {type(error).__name__}: {error}. "
                "Correct the function, or give it different values."
            ) from error

    def _chosen(self, given: Mapping[str, str]) -> dict[str, str]:
        try:
            chosen = completed(self.name, self.axes, given)
        except NameNotAllowed as error:
            error.args = (f"{error.args[0]} See its axes with: dataset-assets info {self.name}",)
            raise
        for axis, value in chosen.items():
            if axis in self.choices and value not in self.choices[axis]:
                raise NameNotAllowed(f"{self.name} has no {axis}={value}.{nearest(value, self.choices[axis])}")
        return chosen

    def _read_signature(self) -> None:
        if not self.summary or not callable(self.function) or not hasattr(self.function, "__qualname__"):
            raise DefinitionError("A family needs a name, a summary and a plain function that returns a Dataset.")
        try:
            hints, parameters = get_type_hints(self.function), inspect.signature(self.function).parameters.values()
        except Exception as error:  # an annotation may be any code
            raise DefinitionError(
                f"The annotations of {self.function.__qualname__} cannot be read: {type(error).__name__}: {error}. "
                "Give a function whose arguments have annotations."
            ) from error
        axes: list[Axis] = []
        choices: dict[str, tuple[str, ...]] = {}
        for parameter in parameters:
            axis, values = _axis(parameter, hints.get(parameter.name), parameter.name not in self.not_identity)
            axes.append(axis)
            choices |= {axis.name: values} if values else {}
        object.__setattr__(self, "axes", tuple(axes))
        object.__setattr__(self, "choices", FrozenMapping(choices))
        self._check_axes({axis.name: axis for axis in axes})

    def _check_axes(self, axes: Mapping[str, Axis]) -> None:
        for name in (*self.not_identity, *self.example):
            if name not in axes:
                raise DefinitionError(f"{name!r} is not an argument of the function.{nearest(name, axes)}")
        if not any(axis.identity for axis in axes.values()):
            raise DefinitionError("A family needs an axis that is part of the identity. Define a Dataset instead.")
        for axis in axes.values():
            if not axis.identity and axis.default is None:
                raise DefinitionError(
                    f"Axis {axis.name!r} is not part of the identity, so a name may leave it out. Give it a default."
                )

    def _texts_of_example(self) -> dict[str, str]:
        found = {axis.name: self._value_shown(axis) for axis in self.axes}
        lacking = [name for name, value in found.items() if value is None]
        if lacking:
            raise DefinitionError(
                f"Axis {lacking[0]!r} may have any value. Give a default, or one that is shown: "
                f"example={{{lacking[0]!r}: ...}}"
            )
        return self._chosen({name: value for name, value in found.items() if value is not None})

    def _value_shown(self, axis: Axis) -> str | None:
        if axis.name in self.example:
            return axis.text(self.example[axis.name])
        return axis.default if axis.default is not None else next(iter(self.choices.get(axis.name, ())), None)


def _names(given: Any) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else (given,)
    if not all(isinstance(name, str) for name in names):
        raise DefinitionError(f"not_identity={shown(given)} does not name axes. Write ('mirror',).")
    return names


def _values(given: Any) -> FrozenMapping[Any]:
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise DefinitionError(f"example={shown(given)} gives no values to axes. Write {{'lang': 'fr'}}.")
    return FrozenMapping(given)


def _axis(parameter: inspect.Parameter, hint: Any, identity: bool) -> tuple[Axis, tuple[str, ...]]:
    """Return an axis, and its values if they are few."""
    name = parameter.name
    if not AXIS.fullmatch(name) or parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise DefinitionError(f"{shown(parameter)} is not an axis. Name each argument with a-z, 0-9 and underscores.")
    values = get_args(hint) if get_origin(hint) is Literal else ()
    kinds = {type(value) for value in values} if values else {hint}
    if len(kinds) != 1 or not kinds <= KINDS.keys():
        raise DefinitionError(
            f"Axis {name!r} is annotated with {shown(hint)}. Annotate it with str, int, float or bool, or with a "
            "Literal of values of one of these types."
        )
    axis = Axis(name, KINDS[kinds.pop()], None, identity)
    texts = tuple(dict.fromkeys(map(axis.text, values))) or (("false", "true") if axis.kind == "bool" else ())
    if parameter.default is parameter.empty:
        return axis, texts
    default = axis.text(parameter.default)
    if texts and default not in texts:
        raise DefinitionError(
            f"Axis {name!r} has the default {shown(parameter.default)}, which is not one of its values."
        )
    return replace(axis, default=default), texts

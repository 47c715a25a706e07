"""Names in YAML -> Python objects: one table a kind, filled by decorator."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, overload

from ppcls.utils.errors import ConfigError, PpclsError
from ppcls.utils.suggest import did_you_mean

T = TypeVar("T", bound=Callable[..., Any])


class Buildable(Protocol):
    """What ``Registry.build`` needs to know; ``ppcls.config.Component`` is one."""

    name: str
    kwargs: dict[str, Any]
    key: str


class Registry:
    """One kind of component: the names YAML may say, and what they stand for.

    A registered name is the object's Python name. What the object's signature accepts is what YAML may pass.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._objects: dict[str, Callable[..., Any]] = {}
        self._parameters: dict[str, dict[str, inspect.Parameter]] = {}

    @overload
    def register(self, target: T) -> T: ...

    @overload
    def register(self, *, accepts: Callable[..., Any], sets: Sequence[str] = ()) -> Callable[[T], T]: ...

    def register(
        self, target: T | None = None, *, accepts: Callable[..., Any] | None = None, sets: Sequence[str] = ()
    ) -> T | Callable[[T], T]:
        """Class or function decorator.

        Args:
            accepts: what ``**kwargs`` of the decorated function reaches; its signature is then the schema.
            sets: parameters of ``accepts`` that the decorated function fixes, and YAML may not pass.
        Raises:
            ValueError: the name is taken; the message names both places.
        """
        if target is None:
            return lambda decorated: self._add(decorated, accepts or decorated, sets)
        return self._add(target, target, ())

    def _add(self, target: T, accepts: Callable[..., Any], sets: Sequence[str]) -> T:
        name = target.__name__
        if name in self._objects:
            other = self._objects[name]
            raise ValueError(f"{self.kind} {name!r} is registered twice: {_place(other)} and {_place(target)}")
        self._objects[name] = target
        parameters = _named_parameters(accepts) | _named_parameters(target)
        self._parameters[name] = {key: value for key, value in parameters.items() if key not in sets}
        return target

    def __contains__(self, name: object) -> bool:
        return name in self._objects

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted(self._objects)

    def get(self, name: str) -> Callable[..., Any]:
        """The object of that name; ConfigError with the nearest name when there is none."""
        if name not in self._objects:
            raise ConfigError(f"unknown {self.kind} {name!r}{did_you_mean(name, self._objects)}")
        return self._objects[name]

    def parameters(self, name: str) -> dict[str, inspect.Parameter]:
        """What YAML may pass to ``name``, by parameter name."""
        self.get(name)
        return dict(self._parameters[name])

    def build(self, component: Buildable, **known: Any) -> Any:
        """Call the component's object with its YAML arguments.

        Args:
            known: values the caller knows (``class_num``, ``epochs``, ...); each goes to a signature that asks for it,
                unless YAML gave one.
        Raises:
            ConfigError: unknown name or argument, or a ValueError of the object itself, under the dotted key.
        """
        try:
            target = self.get(component.name)
            parameters = self._parameters[component.name]
            for argument in component.kwargs:
                if argument not in parameters:
                    hint = did_you_mean(argument, parameters)
                    raise ConfigError(f"{component.name} has no argument {argument!r}{hint}")
            given = {key: value for key, value in known.items() if key in parameters} | component.kwargs
            missing = [
                key for key, p in parameters.items() if p.default is inspect.Parameter.empty and key not in given
            ]
            if missing:
                raise ConfigError(f"{component.name} needs {', '.join(missing)}")
            return target(**given)
        except PpclsError as error:
            raise type(error)(f"{component.key}: {error}", error.slug) from error
        except ValueError as error:
            raise ConfigError(f"{component.key}: {error}") from error


def _named_parameters(target: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters that can be passed by name, without ``self``, ``*args`` and ``**kwargs``."""
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    signature = inspect.signature(target)
    return {key: value for key, value in signature.parameters.items() if value.kind not in variadic}


def _place(target: Callable[..., Any]) -> str:
    return f"{target.__module__}.{target.__qualname__}"


BACKBONES = Registry("backbone")
DATASETS = Registry("dataset")
SAMPLERS = Registry("sampler")
OPS = Registry("transform op")
BATCH_OPS = Registry("batch op")
POSTPROCESSES = Registry("postprocess")
LOSSES = Registry("loss")
METRICS = Registry("metric")
OPTIMIZERS = Registry("optimizer")
SCHEDULES = Registry("learning rate schedule")
HOOKS = Registry("hook")

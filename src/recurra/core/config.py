"""Typed configs <-> YAML: frozen, strict, with errors that name the file, the line and the nearest option.

This module imports no torch, and a component's Config stands in the component's own file.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from recurra.core.errors import ConfigError, did_you_mean

C = TypeVar("C", bound="Config")
Lines = dict[str, int]


class Config(BaseModel):
    """Base of all configs: frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


def by_kind(configs: Iterable[type[Config]]) -> Any:
    """The type "one of these configs, told apart by its `kind`"; a bare string stands for {"kind": string}.

    The union is made from a literal table, so that a new component is one file and one line.
    """

    def expand(value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    members = tuple(configs)
    if len(members) == 1:
        return Annotated[members[0], BeforeValidator(expand)]
    return Annotated[Union[members], Field(discriminator="kind"), BeforeValidator(expand)]  # noqa: UP007


def read_yaml(path: Path) -> tuple[dict[str, Any], Lines]:
    """Read a YAML file as a mapping, with the line of each dotted key.

    Raises:
        ConfigError: missing, not UTF-8, not YAML, a repeated key, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 (byte {error.start}).") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise ConfigError(f"{path}:{line}: not valid YAML: {getattr(error, 'problem', error)}.") from error
    except ValueError as error:  # from what looks like a date or a number and is none, such as 2026-13-01
        raise ConfigError(f"{path}: a value can't be read ({error}). Put dates and the like in quotes.") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}:1: a run file is a mapping of options; got {type(values).__name__}.")
    lines: Lines = {}
    _collect_lines(node, "", lines, path)
    return values, lines


def apply_overrides(
    values: Mapping[str, Any], overrides: Mapping[str, Any], tables: Sequence[str] = ()
) -> dict[str, Any]:
    """Set dotted keys in a nested mapping, for example {"model.hidden_size": 512}.

    Setting another `kind` of a section (`optimizer.kind`, or `optimizer=sgd`) drops that section's other values,
    which belonged to the old kind; overrides beside it are kept, in any order.

    Args:
        tables: groups whose keys have dots themselves, such as "tune.space".
    """
    result = _copy(values)
    for key in sorted(overrides, key=lambda name: (not name.endswith(".kind"), name.count("."))):
        table = next((f"{name}." for name in tables if key.startswith(f"{name}.")), "")
        *parents, last = [*table.split(".")[:-1], key.removeprefix(table)] if table else key.split(".")
        section = result
        for parent in parents:
            inner = section.get(parent)
            if isinstance(inner, str):
                inner = {"kind": inner}
            if inner is None:
                inner = {}
            if not isinstance(inner, dict):
                raise ConfigError(f"`{key}`: `{parent}` is a single value, not a group of options.")
            section[parent] = inner
            section = inner
        new = overrides[key]
        if last == "kind" and section.get("kind", new) != new:
            section.clear()
        current = section.get(last)
        if isinstance(current, dict) and isinstance(new, str):
            new = {"kind": new} if current.get("kind") != new else current
        section[last] = new
    return result


def parse_overrides(arguments: Iterable[str]) -> dict[str, Any]:
    """Parse `key=value` arguments; values are YAML (`true`, `0.5`, `[1, 2]`, `null`), or else plain text.

    Raises:
        ConfigError: no `=`, or an empty key.
    """
    overrides: dict[str, Any] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or not key:
            raise ConfigError(f"`{argument}`: an override is written key=value, for example model.hidden_size=512.")
        overrides[key] = _yaml_or_text(value)
    return overrides


def parse(cls: type[C], values: Mapping[str, Any], *, source: str = "", lines: Lines | None = None) -> C:
    """Validate `values` as a `cls`; all faults are reported at once.

    Args:
        source: named before each fault (a file name).
        lines: the line of each dotted key in that file.
    Raises:
        ConfigError: one line a fault.
    """
    try:
        return cls.model_validate(_numbers(values))
    except ValidationError as error:
        given = error.errors()
        # a list whose items are wrong is called too short as well
        told = [
            one for one in given if one["type"] != "too_short" or not any(_is_inside(other, one) for other in given)
        ]
        faults = [_describe_fault(cls, dict(fault), source, lines or {}) for fault in told]
        raise ConfigError("\n".join(dict.fromkeys(faults))) from error


def _is_inside(fault: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether a fault is of a part of what another is of."""
    place = other["loc"]
    return len(fault["loc"]) > len(place) and fault["loc"][: len(place)] == place


def to_yaml(config: Config) -> str:
    """The config with all its values, in the order of its fields."""
    text: str = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=1000)
    return text


def flatten(
    values: Mapping[str, Any], is_leaf: Callable[[Mapping[str, Any]], bool] = lambda _: False, prefix: str = ""
) -> dict[str, Any]:
    """Nested groups as one mapping with dotted keys; a group that `is_leaf` accepts stays whole."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        nested = isinstance(value, Mapping) and not is_leaf(value)
        flat |= flatten(value, is_leaf, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return flat


def option_rows(cls: type[Config], prefix: str = "") -> Iterable[tuple[str, str, str, str]]:
    """(dotted name, type, default, description) of every option, nested ones and kinds included."""
    for name, field in cls.model_fields.items():
        dotted = f"{prefix}{name}"
        nested = _config_types(field.annotation)
        if not nested:
            default = "(required)" if field.is_required() else repr(field.get_default(call_default_factory=True))
            yield dotted, _type_name(field.annotation), default, field.description or ""
        for inner in nested:
            kind = _kind_of(inner)
            label = f"{dotted}[{kind}]." if len(nested) > 1 else f"{dotted}."
            yield from option_rows(inner, label)


def _describe_fault(cls: type[Config], fault: dict[str, Any], source: str, lines: Lines) -> str:
    known, path = _walk(cls, fault["loc"])
    dotted = ".".join(path)
    where = f"{source}:{lines[dotted]}: " if dotted in lines else (f"{source}: " if source else "")
    if fault["type"] == "extra_forbidden":
        parent = ".".join(path[:-1])
        near = did_you_mean(dotted, [f"{parent}.{name}" if parent else name for name in known])
        return f"{where}no option `{dotted}`.{near}"
    if fault["type"] == "missing":
        return f"{where}option `{dotted}` is missing."
    if fault["type"] in ("union_tag_invalid", "literal_error"):
        context = fault.get("ctx", {})
        raw = str(context.get("expected_tags") or context.get("expected"))
        given = str(context.get("tag", fault.get("input")))
        choices = [part.strip(" '") for part in raw.replace(" or ", ", ").split(",")]
        name = f"{dotted}.kind" if fault["type"] == "union_tag_invalid" else dotted
        return f"{where}`{name}`: no such choice `{given}`.{did_you_mean(given, choices)}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    given = "" if isinstance(fault.get("input"), dict) else f", got {fault.get('input')!r}"
    name = f"`{dotted}`: " if dotted else ""
    return f"{where}{name}{message[:1].lower()}{message[1:]}{given}."


def _walk(cls: type[Config], location: tuple[Any, ...]) -> tuple[list[str], list[str]]:
    """The options known at the fault's level, and its dotted path without pydantic's union tags."""
    known: list[str] = list(cls.model_fields)
    path: list[str] = []
    candidates: list[type[Config]] = [cls]
    for part in location:
        tagged = [inner for inner in candidates if _kind_of(inner) == part]
        if len(candidates) > 1 and tagged:
            candidates = tagged
            known = list(tagged[0].model_fields)
            continue
        path.append(str(part))
        fields = [inner.model_fields[part] for inner in candidates if part in inner.model_fields]
        known = [name for inner in candidates for name in inner.model_fields]
        candidates = [nested for field in fields for nested in _config_types(field.annotation)]
    return known, path


def _config_types(annotation: Any) -> list[type[Config]]:
    """The Config classes inside an annotation (unions and Annotated are opened)."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return [annotation]
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        return [inner for part in get_args(annotation) for inner in _config_types(part)]
    return []


def _kind_of(cls: type[Config]) -> str | None:
    field = cls.model_fields.get("kind")
    return None if field is None else str(field.default)


def _type_name(annotation: Any) -> str:
    if isinstance(annotation, type):
        return annotation.__name__
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin in (Union, types.UnionType):
        if all(isinstance(part, type) and issubclass(part, Config) for part in arguments):
            return "options"
        return " | ".join("none" if part is type(None) else _type_name(part) for part in arguments)
    if origin in (list, tuple):
        return f"{origin.__name__}[{', '.join('...' if part is ... else _type_name(part) for part in arguments)}]"
    if arguments and all(isinstance(part, str) for part in arguments):
        return " | ".join(arguments)
    return str(annotation).replace("typing.", "")


def _collect_lines(node: Any, prefix: str, lines: Lines, path: Path) -> None:
    if not isinstance(node, yaml.MappingNode):
        return
    for key_node, value_node in node.value:
        dotted = f"{prefix}{key_node.value}"
        if dotted in lines:
            raise ConfigError(f"{path}:{key_node.start_mark.line + 1}: `{dotted}` stands twice; delete one.")
        lines[dotted] = key_node.start_mark.line + 1
        _collect_lines(value_node, f"{dotted}.", lines, path)


def _copy(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in values.items()}


def _numbers(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {key: _numbers(value) for key, value in values.items()}
    if isinstance(values, list):
        return [_numbers(value) for value in values]
    return _number(values)


def _yaml_or_text(value: str) -> Any:
    try:
        parsed = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):  # the latter from what looks like a date, such as 2026-13-01
        return value
    # A lone `|` or `#` means nothing in YAML, and itself on a command line.
    nothing = parsed is None or parsed == ""
    return value if nothing and value.strip() not in ("", "~", "null", "''", '""') else _number(parsed)


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-3 as a string; people mean the number."""
    if isinstance(value, str):
        try:
            return float(value) if any(mark in value for mark in "eE") else value
        except ValueError:
            return value
    return value

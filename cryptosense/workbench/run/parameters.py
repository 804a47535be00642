"""From what a user typed to an experiment's typed parameters, with every mistake refused before anything starts."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from cryptosense.errors import UsageError
from cryptosense.workbench.experiment import Parameters, Profile
from cryptosense.workbench.experiments import AnyExperiment


def choose(experiment: AnyExperiment, given: Mapping[str, Any], profile: Profile = "quick") -> Parameters:
    """The experiment's parameters: its defaults, changed by the profile, changed by what was given.

    Raises:
        UsageError: a name that it does not have, or a value that does not fit; the message says what would.
    """
    fields = _fields(experiment)
    for name in given:
        if name not in fields:
            raise UsageError(f"{experiment.name} has no parameter {name!r}; it has {', '.join(fields)}")
    values = {**(experiment.full if profile == "full" else {}), **given}
    try:
        # By way of JSON, where a list may become a tuple but a text never a number.
        chosen: Parameters = experiment.parameters.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        raise UsageError(_in_one_line(experiment, error)) from None
    return chosen


def plain(parameters: Parameters, names: Iterable[str] | None = None) -> dict[str, Any]:
    """The parameters (all, or those named) as JSON knows them."""
    return parameters.model_dump(mode="json", include=None if names is None else set(names))


def read_assignments(assignments: Iterable[str], experiments: Iterable[AnyExperiment]) -> dict[str, dict[str, Any]]:
    """`EXPERIMENT.NAME=VALUE`, several times, as values by experiment and name.

    VALUE is JSON (`3`, `true`, `[1, 2]`) or else plain text.

    Raises:
        UsageError: the form is wrong, or the experiment is none of those that will run, or has no such parameter.
    """
    chosen = {experiment.name: experiment for experiment in experiments}
    values: dict[str, dict[str, Any]] = {name: {} for name in chosen}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        name, dot, parameter = path.strip().partition(".")
        if not (equals and dot and name and parameter):
            raise UsageError(f"-p {assignment}: expected EXPERIMENT.NAME=VALUE, such as before_after.seed=7")
        if name not in chosen:
            raise UsageError(f"-p {assignment}: {name!r} is not among the experiments to run: {', '.join(chosen)}")
        values[name][parameter] = _value(chosen[name], parameter, text)
    return values


def describe(experiment: AnyExperiment) -> list[tuple[str, str, Any, str]]:
    """Name, type, quick default and description of every parameter."""
    return [
        (name, _type_of(field), json.loads(json.dumps(field.get_default(call_default_factory=True), default=str)), text)
        for name, field in _fields(experiment).items()
        for text in [field.description or ""]
    ]


def _fields(experiment: AnyExperiment) -> dict[str, FieldInfo]:
    fields: dict[str, FieldInfo] = experiment.parameters.model_fields
    return fields


def _value(experiment: AnyExperiment, parameter: str, text: str) -> Any:
    """The text as JSON where that fits the parameter's type, else as it is."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    if isinstance(value, str):
        return value
    try:
        choose(experiment, {parameter: value})
    except UsageError:
        return _text_if_that_fits(experiment, parameter, text, value)
    return value


def _text_if_that_fits(experiment: AnyExperiment, parameter: str, text: str, value: Any) -> Any:
    try:
        choose(experiment, {parameter: text})
    except UsageError:
        return value
    return text


def _in_one_line(experiment: AnyExperiment, error: ValidationError) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if name not in _fields(experiment):
        return f"{experiment.name}: {first['msg'].removeprefix('Value error, ')}"
    message = first["msg"].removeprefix("Value error, ")
    wanted = _type_of(_fields(experiment)[name])
    return f"{experiment.name}.{name} is {wanted}, {first['input']!r} does not fit: {message}"


def _type_of(field: FieldInfo) -> str:
    annotation = field.annotation
    return (
        annotation.__name__
        if isinstance(annotation, type) and not hasattr(annotation, "__args__")
        else str(annotation).replace("typing.", "").replace("cryptosense.workbench.deployment.", "")
    )

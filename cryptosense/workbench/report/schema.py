"""The published JSON Schema of `results.json`, shipped as `results.schema.json` beside this module."""

import json
from importlib.resources import files
from typing import Any

from cryptosense.workbench.results import RunResults

RESULTS_SCHEMA_FILE = "results.schema.json"


def results_schema() -> dict[str, Any]:
    """The schema as it is shipped, for whoever validates a run's results."""
    text = files("cryptosense.workbench.report").joinpath(RESULTS_SCHEMA_FILE).read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def schema_of_the_models() -> dict[str, Any]:
    """The schema that the code would publish now; `python -m cryptosense.workbench.report.schema` prints it."""
    schema = RunResults.model_json_schema(by_alias=True, mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Results of a CryptoSense run",
        **{name: part for name, part in schema.items() if name != "title"},
    }


if __name__ == "__main__":
    print(json.dumps(schema_of_the_models(), indent=1, ensure_ascii=False))

"""What a run leaves for people and for CI: `index.html`, `summary.md`, `junit.xml`, each notebook as HTML.

Everything is made from the run's folder alone (`results.json`, and per experiment `verdicts.json`, `figures/`, the
history and the executed notebook), so a report can be written again at any time, and prose cannot disagree with data.
"""

from cryptosense.workbench.report.example import copy_example
from cryptosense.workbench.report.schema import RESULTS_SCHEMA_FILE, results_schema
from cryptosense.workbench.report.write import INDEX, JUNIT, SUMMARY, write_report

__all__ = [
    "INDEX",
    "JUNIT",
    "RESULTS_SCHEMA_FILE",
    "SUMMARY",
    "copy_example",
    "results_schema",
    "write_report",
]

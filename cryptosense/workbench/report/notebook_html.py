"""The executed notebook as one HTML file: offline, its code folded and not gone."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import HTMLExporter
from nbformat.reader import NotJSONError

_TEMPLATES = "cryptosense.workbench.report"


def write_notebook_html(notebook: Path, page: Path, *, title: str) -> bool:
    """Renders the notebook as it was executed, failed cells included; False when there is none to render."""
    try:
        document = nbformat.read(notebook, as_version=4)
    except (OSError, NotJSONError, nbformat.ValidationError):
        return False
    document.metadata["title"] = title
    body, _ = _exporter().from_notebook_node(document)
    page.write_text(body, encoding="utf-8")
    return True


@cache
def _exporter() -> Any:
    folder = Path(str(files(_TEMPLATES).joinpath("templates")))
    style = (folder / "style.css").read_text(encoding="utf-8")
    make: Any = HTMLExporter
    exporter = make(template_name="notebook", extra_template_basedirs=[str(folder)])
    exporter.environment.globals["report_style"] = style
    return exporter

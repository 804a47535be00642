"""Charts on the page: the SVG itself, with ids of its own and with colours that follow light, dark and print."""

import re

from cryptosense.workbench.charts.style import COLOURS

_LONG_FRACTION = re.compile(r"(\d+\.\d\d)\d+")
_FONT = re.compile(r"font-family: 'DejaVu Sans'[^;\"]*")
_PRELUDE = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_VARIABLES = {colour: f"var(--{name})" for name, colour in COLOURS.items()}
_COLOUR = re.compile("|".join(map(re.escape, _VARIABLES)))
_TAG = re.compile(r"<[^>]+>")
_STYLE = re.compile(r"<style.*?</style>", re.DOTALL)


def inline_svg(svg: str, prefix: str) -> str:
    """The picture to stand in a page: smaller, without script or declarations, its ids led by `prefix`.

    The picture is hidden from screen readers; whoever places it gives its words (`alt`) beside it.
    """
    text = _STYLE.sub("", _METADATA.sub("", _PRELUDE.sub("", svg)))
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
    text = re.sub(r'((?:xlink:)?href)="#([^"]+)"', rf'\1="#{prefix}-\2"', text)
    text = _TAG.sub(_restyled, text)
    opening, rest = text.split(">", 1)
    opening = re.sub(r' (width|height|xmlns:xlink|xmlns|version)="[^"]*"', "", opening)
    text = f'{opening} aria-hidden="true" focusable="false">{rest.replace("xlink:href", "href")}'
    return re.sub(r"\s*\n\s*", " ", text).strip()


def _restyled(tag: re.Match[str]) -> str:
    """A tag with the page's colours and font and with coordinates of two places; text between tags is not touched."""
    text = _COLOUR.sub(lambda found: _VARIABLES[found.group()], tag.group())
    text = _FONT.sub("font-family: var(--sans)", text.replace("#000000", "var(--ink)"))
    return _LONG_FRACTION.sub(r"\1", text)

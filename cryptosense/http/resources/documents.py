"""`/docs`: the routes to read and to try, in Swagger UI from files of this machine. Not limited, no session."""

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import FileResponse, HTMLResponse

from cryptosense.errors import NotFound

router = APIRouter(include_in_schema=False)

_SHIPPED = Path(fastapi_offline.__file__).parent / "static"
_FILES = ("swagger-ui-bundle.js", "swagger-ui.css")

_OWN_HOST_ONLY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
)
"""The browser's own promise not to ask another host, whatever a later Swagger UI would like to."""


@router.get("/docs")
async def documents() -> HTMLResponse:
    """The page; its addresses are relative, so that it also works below a proxy's prefix."""
    script, style = _FILES
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="CryptoSense",
        swagger_js_url=f"docs/{script}",
        swagger_css_url=f"docs/{style}",
        swagger_favicon_url="data:,",
        swagger_ui_parameters={"validatorUrl": None},  # its default sends the document's address to a public service
    )
    page.headers["Content-Security-Policy"] = _OWN_HOST_ONLY
    return page


@router.get("/docs/{name}")
async def file(name: str) -> FileResponse:
    """Swagger UI's script and its style.

    Raises:
        NotFound: any other name.
    """
    if name not in _FILES:
        raise NotFound(f"there is no {name} here")
    return FileResponse(_SHIPPED / name, headers={"Cache-Control": "public, max-age=86400"})

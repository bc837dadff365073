"""The addresses of the server: /predict, a page to try it on, /healthz and /metrics."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import AsyncIterator, Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import mobilenet.export
from mobilenet.serving.prometheus_metrics import CONTENT_TYPE
from mobilenet.serving.service import Service

_PAGE = Path(__file__).with_name("page")
_STYLE = Path(mobilenet.export.__file__).with_name("web") / "page.css"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob: data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
_SENTENCES = {
    404: "there is nothing at this address; POST an image to /predict",
    405: "this address does not take this method; POST an image to /predict",
}


def application(service: Service) -> Starlette:
    """The ASGI application that serves `service`."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        running = asyncio.ensure_future(service.batches.run())
        yield
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    async def health(_: Request) -> Response:
        if service.is_stopping:
            return JSONResponse({"status": "stopping"}, 503)
        return JSONResponse({"status": "ready"})

    async def metrics(_: Request) -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    return Starlette(
        routes=[
            Route("/predict", service.predict, methods=["POST"]),
            Route("/healthz", health),
            Route("/metrics", metrics),
            Route("/", _file(_PAGE / "index.html", "text/html")),
            Route("/page.js", _file(_PAGE / "page.js", "text/javascript")),
            Route("/page.css", _file(_STYLE, "text/css")),
        ],
        exception_handlers={
            HTTPException: _refused,
            ClientDisconnect: _gone,
            Exception: _failed,
        },
        lifespan=lifespan,
    )


def _file(path: Path, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    content = path.read_bytes()

    async def answer(_: Request) -> Response:
        return Response(content, headers=_HEADERS, media_type=media_type)

    return answer


async def _refused(_: Request, error: HTTPException) -> Response:
    sentence = _SENTENCES.get(error.status_code, error.detail)
    return JSONResponse({"error": sentence}, error.status_code, error.headers)


async def _failed(_: Request, _error: Exception) -> Response:
    # Uvicorn logs the exception.
    return JSONResponse({"error": "the server failed; its log says why"}, 500)


async def _gone(_: Request, _error: ClientDisconnect) -> Response:
    return Response(status_code=400)  # nobody gets it

"""Runs the server: opens its port, serves until a signal asks it to stop, and stops cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from typing import Callable, Iterator

import numpy as np
import uvicorn

from mobilenet.distributed.noted_signals import noted_signals
from mobilenet.errors import RunStopped, UserError, reason
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.serving.application import application
from mobilenet.serving.connection import HEAD_SECONDS, Connection
from mobilenet.serving.limits import Limits
from mobilenet.serving.service import Service

_SECONDS_BESIDE_WAIT = 3


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at an address; port 0 is any free one.

    Raises:
        UserError: It is taken, or is no address of this machine.
    """
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        why = reason(error).partition(" (while")[0]  # Python repeats the address
        raise UserError(
            f"--host {host} --port {port}: the server cannot listen there: {why}"
        ) from None


def serve(
    model: LoadedModel, listening: socket.socket, limits: Limits, ready: Callable[[], object]
) -> None:
    """Serves `model` until SIGTERM or Ctrl-C; every request that has arrived is answered first.

    Args:
        model: From `open_model`.
        listening: From `listen`; it is closed at the end.
        limits: What is allowed to requests.
        ready: Called when requests are being answered.

    Raises:
        RunStopped: A signal has stopped the server.
    """
    height, width = model.transform.size
    model.predict(np.zeros((1, 3, height, width), np.float32))  # the first time takes longer
    asyncio.run(_serve(model, listening, limits, ready))


async def _serve(
    model: LoadedModel, listening: socket.socket, limits: Limits, ready: Callable[[], object]
) -> None:
    service = Service(model, limits)
    config = uvicorn.Config(
        application(service),
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=int(HEAD_SECONDS),
        timeout_graceful_shutdown=int(limits.wait_seconds) + _SECONDS_BESIDE_WAIT,
    )
    server = _Server(config, service, ready)
    await server.serve([listening])
    if server.stopped_by is not None:
        name = signal.Signals(server.stopped_by).name
        number = server.server_state.total_requests
        raise RunStopped(server.stopped_by, f"stopped by {name} after {number} requests")


class _Server(uvicorn.Server):
    """Uvicorn's server, which stops as this package's commands do."""

    stopped_by: int | None = None

    def __init__(
        self, config: uvicorn.Config, service: Service, ready: Callable[[], object]
    ) -> None:
        super().__init__(config)
        self._service = service
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Notes the signal, where Uvicorn would raise it again at the end."""
        with noted_signals(self._stop, signal.SIG_DFL):
            yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to answer, and says so."""
        await super().startup(sockets)
        self._ready()

    def _stop(self, number: int) -> None:
        self.stopped_by = number
        self._service.is_stopping = True
        self.should_exit = True

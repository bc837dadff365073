"""Answers requests for predictions: receives, decodes, computes, within the limits."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from mobilenet.compat.environment import num_processors
from mobilenet.data.synset import names_of_classes, spoken_names
from mobilenet.errors import DataError, one_line
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.metrics import Guess, guesses, score
from mobilenet.serving.batches import Batches, Input
from mobilenet.serving.limits import Limits
from mobilenet.serving.prometheus_metrics import Metrics
from mobilenet.serving.request_body import image_in, receive

_MAX_DECODERS = 4  # each may take the memory of the largest image


class Service:
    """One model, its queue and its counters. It is made and used in one event loop."""

    def __init__(self, model: LoadedModel, limits: Limits) -> None:
        self.metrics = Metrics()
        self.is_stopping = False
        self._limits = limits
        self._transform = model.transform
        self._names = spoken_names(names_of_classes(model.class_names, model.config.model.classes))
        self._decoders = ThreadPoolExecutor(min(_MAX_DECODERS, num_processors()), "decode")
        self._num_requests = 0
        self.batches = Batches(model.predict, limits.max_batch, self.metrics.batch_size.observe)
        self.metrics.describe("model", "The model", engine=model.engine or "mxnet")
        watch = self.metrics.watch
        watch("queue_length", "Images that wait for the network", lambda: self.batches.num_waiting)
        watch("requests_in_progress", "Requests to /predict now", lambda: self._num_requests)

    async def predict(self, request: Request) -> Response:
        """Answers one request, and counts it."""
        start, status = time.perf_counter(), "500"
        try:
            found = await self._guesses(request)
            status = "200"
            return JSONResponse({"guesses": [guess._asdict() for guess in found]})
        except HTTPException as refusal:
            status = str(refusal.status_code)
            raise
        except (ClientDisconnect, asyncio.CancelledError):
            status = "disconnected"
            raise
        finally:
            self.metrics.requests.labels(status).inc()
            self.metrics.seconds.observe(time.perf_counter() - start)

    async def _guesses(self, request: Request) -> tuple[Guess, ...]:
        if self.is_stopping:
            raise _unavailable("the server is stopping", {"Connection": "close"})
        if self._num_requests >= self._limits.max_requests:
            raise _unavailable(f"{self._num_requests} requests are being answered already")
        self._num_requests += 1
        try:
            body = await receive(request, self._limits)
            kind = request.headers.get("content-type", "")
            answer = self._computed(body, kind)
            return await asyncio.wait_for(answer, self._limits.wait_seconds)
        except asyncio.TimeoutError:
            raise _unavailable(
                f"there was no answer within {self._limits.wait_seconds:g} seconds"
            ) from None
        except DataError as error:
            raise HTTPException(400, one_line(str(error))) from None
        finally:
            self._num_requests -= 1

    async def _computed(self, body: bytes, content_type: str) -> tuple[Guess, ...]:
        def decoded() -> Input:
            return self._transform(image_in(body, content_type))

        image = await asyncio.get_running_loop().run_in_executor(self._decoders, decoded)
        output = await self.batches.output(image)
        return guesses(score(output[None], np.zeros(1, np.int32)), 0, self._names)


def _unavailable(why: str, headers: dict[str, str] | None = None) -> HTTPException:
    return HTTPException(503, f"{why}; try again later", {"Retry-After": "1", **(headers or {})})

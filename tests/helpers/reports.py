"""A report whose names are as bad as names get."""

from __future__ import annotations

import cv2
import numpy as np

from mobilenet.metrics import Predictions, score
from mobilenet.validation.report.report_data import Report

EVIL = '<script>alert("1 & 2")</script>'
NAMES = (EVIL, "tabby, tabby cat", "café", "kite", "crane", "crane's jib", "a" * 90, "eel")


def answers(num_images: int = 60) -> Predictions:
    rng = np.random.default_rng(6)
    labels = rng.integers(0, 8, num_images).astype(np.int32)
    logits = rng.normal(size=(num_images, 8)) + 2 * np.eye(8)[labels]
    return score(logits.astype(np.float32), labels)


def encoded(colour: tuple[int, int, int], size: tuple[int, int] = (40, 60)) -> bytes:
    return cv2.imencode(".png", np.full((*size, 3), colour, np.uint8))[1].tobytes()


def report(predictions: Predictions) -> Report:
    facts = {"data": f"{EVIL}.rec"}
    return Report(
        f"model {EVIL}",
        facts,
        predictions,
        NAMES,
        lambda _: encoded((9, 99, 200)),
        [f"{EVIL}/{place}.png" for place in range(len(predictions.labels))],
        123,
    )

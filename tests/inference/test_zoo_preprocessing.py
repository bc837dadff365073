"""The model zoo's pre- and postprocessing, written out after its scripts."""

import numpy as np
import pytest
from PIL import Image
from scipy import special

from mobilenet.inference.zoo_preprocessing import imagenet_postprocess, imagenet_preprocess


@pytest.mark.parametrize("size", [(300, 500), (500, 375), (256, 256), (97, 301), (255, 400)])
def test_preprocessing_is_the_origins(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(sum(size)).integers(0, 256, (*size, 3), np.uint8)
    height, width = size
    scale = 256 / min(size)
    resized = Image.fromarray(pixels).resize(
        (round(width * scale), round(height * scale)), Image.Resampling.BILINEAR
    )
    left, top = resized.width // 2 - 112, resized.height // 2 - 112
    crop = np.asarray(resized.crop((left, top, left + 224, top + 224)), np.float64)
    expected = (crop / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    result = imagenet_preprocess(pixels)
    assert result.shape == (1, 3, 224, 224)
    assert result.dtype == np.float32
    assert np.abs(result[0] - expected.transpose(2, 0, 1)).max() < 2e-6


def test_postprocessing_is_the_origins() -> None:
    scores = np.random.default_rng(10).normal(size=(1, 1000)).astype(np.float32)
    expected = np.argsort(special.softmax(scores.squeeze()))[::-1]
    np.testing.assert_array_equal(imagenet_postprocess(scores), expected)

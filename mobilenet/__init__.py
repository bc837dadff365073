"""MobileNet v2 for MXNet Gluon: training, exact validation and export to ONNX opset 7."""

from mobilenet.compat import prepare_for_mxnet

__version__ = "0.1.0"

prepare_for_mxnet()

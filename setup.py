"""Installs the mobilenet package, its configurations and the `mobilenet` command."""

import ast
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def version() -> str:
    """The version that the package states, read without importing it."""
    tree = ast.parse((HERE / "mobilenet" / "__init__.py").read_text(encoding="utf-8"))
    values = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__"
    )
    return str(ast.literal_eval(next(values)))


# MXNet asks for NumPy below 2, which pip does not find for Python 3.13 and later. With later ones
# it runs as well (`mobilenet.compat.numpy_names`), so it is installed by itself there, by the
# command that `mobilenet.__main__` tells; what else it needs comes from here.
MXNET = [
    "mxnet==1.9.1; python_version < '3.13'",
    "requests>=2.20,<3; python_version >= '3.13'",
    "graphviz>=0.8.1,<0.9; python_version >= '3.13'",
]

# The main job ends with a proven ONNX file, so that these are no option but part of every install.
EXPORT = ["onnx>=1.14", "onnxruntime>=1.16"]

# What `mobilenet serve` needs. The ranges reach back to what Python 3.9 has.
SERVE = [
    "starlette>=0.46",
    "uvicorn>=0.34",
    "prometheus-client>=0.20",
    "python-multipart>=0.0.20",
]

EXTRAS = {
    "export": EXPORT,
    "tensorboard": ["tensorboardX>=2.6"],
    # Built from source against the MXNet that is installed: docs/distributed.md has the variables.
    "horovod": ["horovod==0.28.1", "cloudpickle", "psutil"],
    "serve": SERVE,
    # Another engine for inference on CPUs. The range reaches back to what Python 3.9 has.
    "openvino": ["openvino>=2023.1"],
    "serving": ["multi-model-server>=1.1.11"],
    # What MXNet's build for GPUs links; docs/gpus.md has how that build takes the place of mxnet.
    "cuda": [
        "nvidia-cublas-cu11>=11.3,<12",
        "nvidia-cuda-nvrtc-cu11>=11.2,<12",
        "nvidia-cuda-runtime-cu11>=11.2,<12",
        "nvidia-cudnn-cu11>=8.1,<9",
        "nvidia-cufft-cu11>=10.4,<11",
        "nvidia-curand-cu11>=10.2,<11",
        "nvidia-cusolver-cu11>=11,<12",
        "nvidia-nccl-cu11>=2.8",
        "nvidia-nvtx-cu11>=11.2,<12",
    ],
    "completion": ["argcomplete>=3"],
    "notebooks": ["jupyterlab>=4", "ipykernel>=6.29"],
    "dev": [
        *SERVE,
        "argcomplete>=3",
        "ruff>=0.6",
        "mypy>=1.10",
        "pytest>=8",
        "pytest-timeout>=2.3",
        "pytest-xdist>=3.6",
        "hypothesis>=6.100",
        "ipykernel>=6.29",
        "mkdocs>=1.6",
        "mkdocstrings[python]>=0.26",
        "multi-model-server>=1.1.11",
        "nbclient>=0.10",
        "types-PyYAML",
        "types-tqdm",
        # Builds the package where it is installed as it lies (`make setup`), without a network.
        "setuptools>=70.1",
    ],
}

setup(
    name="mobilenet-mxnet",
    version=version(),
    description="MobileNet v2 for MXNet Gluon: training, exact validation, ONNX opset-7 export",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords="mobilenet mobilenetv2 mxnet gluon imagenet onnx image-classification",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(9, 15)),
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    python_requires=">=3.9,<3.15",
    packages=find_packages(include=["mobilenet", "mobilenet.*"]),
    # mobilenet/configs is a link to configs/, so that the configurations are installed as well.
    package_data={
        "mobilenet": ["py.typed", "configs/*.yaml", "configs/*/*.yaml"],
        "mobilenet.export": ["examples/*", "web/*"],
        "mobilenet.serving": ["page/*"],
    },
    install_requires=[
        *MXNET,
        "gluoncv>=0.10.5.post0",
        "numpy>=1.23,<3",
        "numpy>=2.1; python_version >= '3.13'",
        "opencv-python>=4.8,<6",
        "pyyaml>=6",
        "tqdm>=4.60",
        "requests>=2.20",
        *EXPORT,
        "matplotlib>=3.5",
        "pillow>=9.1",
        "scipy>=1.5",
        # MXNet imports distutils, which Python 3.12 no longer has and setuptools provides.
        "setuptools; python_version >= '3.12'",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["mobilenet = mobilenet.__main__:main"]},
)

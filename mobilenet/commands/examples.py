"""The examples that end the help of each command."""

from __future__ import annotations

from typing import Sequence

OVERVIEW = (
    "mobilenet prepare --source photos --output data/photos",
    "mobilenet train finetune data.directory=data/photos --run runs/photos",
    "mobilenet validate runs/photos --report report",
    "mobilenet export runs/photos --output photos.onnx",
)
EXAMPLES = {
    "prepare": (
        "mobilenet prepare --source photos --output data/photos",
        "mobilenet prepare --source ILSVRC2012 --output data/imagenet",
    ),
    "verify": ("mobilenet verify data/photos", "mobilenet verify data/photos --deep"),
    "preview": ("mobilenet preview finetune data.directory=data/photos --output sheet.jpg",),
    "find-rate": ("mobilenet find-rate finetune data.directory=data/photos",),
    "train": (
        "mobilenet train finetune data.directory=data/photos",
        "mobilenet train my.yaml schedule.learning_rate=0.02 --run runs/first",
        "mobilenet train my.yaml --run runs/first --resume",
    ),
    "average": ("mobilenet average runs/first --last 5 --output average.params",),
    "launch": (
        "mobilenet launch --local 2 -- train my.yaml distributed.engine=kvstore",
        "mobilenet launch --hosts hosts.txt -- train my.yaml distributed.engine=kvstore",
    ),
    "compare": (
        "mobilenet compare runs/first runs/second",
        "mobilenet compare runs/* --curves curves.png",
    ),
    "validate": (
        "mobilenet validate runs/first --report report",
        "mobilenet validate mobilenetv2.onnx --data data/photos --expect top1=0.9",
        "mobilenet validate runs/second --against runs/first",
        "mobilenet validate runs/first --json - | jq .top1",
    ),
    "audit": (
        "mobilenet audit runs/first --resolutions 128,160,192",
        "mobilenet audit net.params --data data/photos --normalizations",
    ),
    "history": ("mobilenet history runs/first --output history.html",),
    "predict": (
        "mobilenet predict runs/first photo.jpg",
        "mobilenet predict mobilenetv2.onnx photos '*.png' --csv",
        "mobilenet predict runs/first photos --explain heat-maps",
    ),
    "serve": (
        "mobilenet serve runs/first",
        "mobilenet serve mobilenetv2.onnx --host 0.0.0.0 --port 80 --max-batch 32",
    ),
    "export": (
        "mobilenet export runs/first --output mobilenetv2.onnx",
        "mobilenet export runs/first --int8 --data data/photos --output small.onnx",
        "mobilenet export my.yaml --untrained --widths 0.5,1.0 --output family",
    ),
    "import": ("mobilenet import mobilenet_v2.safetensors --output imported",),
    "weights": ("mobilenet weights", "mobilenet weights gluoncv/mobilenetv2_1.0"),
    "info": (
        "mobilenet info --widths 0.5,1.0 --resolutions 128,224",
        "mobilenet info --recipes",
        "mobilenet info --machine",
    ),
    "bench": ("mobilenet bench train --batch 64 --size 128", "mobilenet bench onnx net.onnx"),
    "quickstart": ("mobilenet quickstart --output runs/quickstart",),
}


def epilog(examples: Sequence[str]) -> str:
    """The end of a help text; empty without examples."""
    return "\n".join(["examples:", *(f"  {line}" for line in examples)]) if examples else ""

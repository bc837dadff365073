# The `mobilenet` command on CPUs.
#
#   docker build --tag mobilenet .
#   docker run --rm --volume "$PWD:/work" mobilenet quickstart
#   docker run --rm --volume "$PWD:/work" --volume /data/imagenet:/data:ro mobilenet \
#     train configs/imagenet/mobilenetv2_1.0.yaml data.directory=/data --run runs/first
#
# Tried: the pip commands below in an empty environment of Python 3.11, and the main job with what
# they install; the shared libraries that MXNet and OpenCV name (by ldd); the pins, by
# tests/docs/test_container_images.py. Not tried: the build itself, for want of a Docker engine.

FROM python:3.11-slim-bookworm

# libgomp1: MXNet's threads. libgl1 and libglib2.0-0: opencv-python links them.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

# The packages first: they change less often than the code, and Docker keeps the layer.
WORKDIR /opt/mobilenet
COPY setup.py pyproject.toml requirements.lock README.md LICENSE ./
COPY mobilenet/__init__.py mobilenet/
RUN pip install --no-cache-dir --constraint requirements.lock '.[tensorboard]'

# configs before mobilenet: mobilenet/configs is a link to it.
COPY configs configs
COPY mobilenet mobilenet
RUN pip install --no-cache-dir --no-deps --force-reinstall .

# Not root, so that files in /work belong to whoever `docker run --user` names.
RUN useradd --create-home --uid 1000 mobilenet && mkdir /work && chown mobilenet /work
USER mobilenet
WORKDIR /work
ENTRYPOINT ["mobilenet"]
CMD ["--help"]

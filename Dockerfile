# The `mobilenet` command on CPUs.
#
#   docker build --tag mobilenet .
#   docker run --rm --volume "$PWD:/work" --user "$(id -u)" mobilenet quickstart
#   docker run --rm --volume "$PWD:/work" --user "$(id -u)" --volume /data/imagenet:/data:ro \
#     mobilenet train configs/imagenet/mobilenetv2_1.0.yaml data.directory=/data --run runs/first

FROM python:3.11-slim-bookworm

# MXNet links both.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 libquadmath0 \
    && rm -rf /var/lib/apt/lists/*

# The packages first: they change less often than the code, and Docker keeps the layer.
# opencv-python would need libGL, which its headless build does not; of gluoncv, no part is used that
# needs pandas.
WORKDIR /opt/mobilenet
COPY setup.py pyproject.toml requirements.lock README.md LICENSE ./
COPY mobilenet/__init__.py mobilenet/
RUN pip install --no-cache-dir --constraint requirements.lock '.[serve,tensorboard]' \
    && headless=$(pip freeze | sed -n 's/^opencv-python==/opencv-python-headless==/p') \
    && pip uninstall --yes opencv-python pandas \
    && pip install --no-cache-dir --no-deps "$headless"

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

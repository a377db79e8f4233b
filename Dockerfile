# The whole workbench in one image: `docker run -p 8501:8501 faceloupe` needs nothing else, not even a network.
# `docker build --target slim .` leaves the weights out; the first launch downloads them.

FROM python:3.11-slim-bookworm AS build
# The public index of CPU builds. Without it, pip installs torch with CUDA: several GB that are not used here.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
RUN python -m venv /opt/venv
COPY requirements.txt ./
# Leave out the packages that only tests need; they are at the end of the file.
RUN sed '/^# Tests and checks/,$d' requirements.txt > /tmp/app.txt \
    && /opt/venv/bin/pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} --requirement /tmp/app.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/venv/bin/pip install --no-deps --editable . \
    && python -m compileall -q src \
    && /opt/venv/bin/pip uninstall --yes pip

FROM python:3.11-slim-bookworm AS slim
RUN useradd --uid 10001 --user-group --no-log-init --home-dir /data --no-create-home --shell /usr/sbin/nologin faceloupe \
    && install -d -o faceloupe -g faceloupe -m 0700 /data
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app/src src
COPY .streamlit .streamlit
COPY pages pages
COPY docs/model-card.md docs/model-card.md
COPY docs/expert/held-out.csv docs/expert/left-out.csv docs/expert/record.json docs/expert/
COPY docs/core/held-out.csv docs/core/left-out.csv docs/core/record.json docs/core/
COPY LICENSE CHANGELOG.md ./
COPY weights/*.json weights/
COPY weights/components weights/components
# owner/repository@tag of the release with the weights; the release workflow sets it.
ARG RELEASES=
# The root file system may be read-only: permanent files are in /data, temporary ones in /tmp.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    FACELOUPE_DATA=/data \
    FACELOUPE_RELEASES=$RELEASES
VOLUME ["/data"]
EXPOSE 8501
USER 10001:10001
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["faceloupe", "app", "--address", "0.0.0.0", "--port", "8501"]

FROM slim AS full
COPY weights/*.safetensors weights/

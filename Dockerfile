# The image: a wheel is built in a stage with compilers, the second stage holds only what runs.
#
#   docker build -t sherd .
#   docker run -p 6379:6379 -p 9121:9121 -v data:/data sherd
#   docker run sherd --maxmemory 1gb --maxmemory-policy allkeys-lru
#   docker run -v ./redis.conf:/etc/sherd/redis.conf:ro sherd /etc/sherd/redis.conf

ARG RUST_VERSION=1.95
ARG PYTHON_VERSION=3.12

FROM rust:${RUST_VERSION}-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir 'maturin>=1.7,<2'
WORKDIR /source
COPY Cargo.toml Cargo.lock pyproject.toml README.md LICENSE ./
COPY metrics metrics
COPY shards shards
COPY ioth ioth
COPY native native
COPY src src
# abi3: one wheel serves every Python from 3.11 on.
RUN /opt/build/bin/maturin build --release --locked --out /wheels

FROM python:${PYTHON_VERSION}-slim-bookworm
COPY --from=build /wheels /wheels
RUN python -m venv /opt/sherd \
    && /opt/sherd/bin/pip install --no-cache-dir /wheels/*.whl \
    && rm -rf /wheels \
    && ln -s /opt/sherd/bin/sherd /usr/local/bin/sherd \
    && groupadd --system --gid 999 sherd \
    && useradd --system --uid 999 --gid sherd --home-dir /data --no-create-home sherd \
    && install -d -o sherd -g sherd -m 0750 /data
COPY deploy/entrypoint.sh deploy/healthcheck.sh /usr/local/bin/
# Probes and scrapers come from outside of the container.
ENV SHERD_METRICS_BIND=* \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
VOLUME /data
WORKDIR /data
EXPOSE 6379 9121
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["bash", "/usr/local/bin/healthcheck.sh"]
ENTRYPOINT ["bash", "/usr/local/bin/entrypoint.sh"]
CMD ["serve"]

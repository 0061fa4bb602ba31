# The image: a wheel is built in a stage with compilers, the second stage holds only what runs.
#
#   docker build -t sherd .
#   docker run -p 6379:6379 -p 9121:9121 -v data:/data sherd
#   docker run sherd --maxmemory 1gb --maxmemory-policy allkeys-lru
#   docker run -v ./redis.conf:/etc/sherd/redis.conf:ro sherd /etc/sherd/redis.conf
#
# Both bases may be others: Debian with cargo, Debian with Python.

ARG BUILD_BASE=rust:1.95-slim-bookworm
ARG RUN_BASE=python:3.12-slim-bookworm

FROM ${BUILD_BASE} AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir 'maturin>=1.7,<2'
WORKDIR /source
COPY Cargo.toml Cargo.lock pyproject.toml README.md LICENSE ./
# The allocator's settings.
COPY .cargo .cargo
COPY metrics metrics
COPY shards shards
COPY scripts scripts
COPY ioth ioth
COPY native native
COPY src src
# For trying the image out: `off`, 0 and 16 build in a fraction of the time.
ARG CARGO_PROFILE_RELEASE_LTO=fat
ARG CARGO_PROFILE_RELEASE_OPT_LEVEL=3
ARG CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
# abi3: one wheel serves every Python from 3.11 on.
RUN /opt/build/bin/maturin build --release --locked --out /wheels

FROM ${RUN_BASE}
COPY --from=build /wheels /wheels
RUN python3 -m venv /opt/sherd \
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

# The server's image: what `python scalemesh.py` needs beside a database, a Redis and a bucket of others.
# Builds run elsewhere (BUILDER=docker, BUILDER=ecs). From the project's root: docker build -t scalemesh .

FROM debian:trixie-slim AS made
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir 'uv>=0.9,<0.14'
WORKDIR /opt/scalemesh
COPY pyproject.toml uv.lock ./
# Without the extras, so without embedded servers; with bytecode, since the file system is read-only later.
# An authority that a proxy brings is in the system's list.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never
RUN /opt/uv/bin/uv sync --frozen --no-default-groups --python /usr/bin/python3
COPY scalemesh.py ./
COPY scalemesh scalemesh
COPY migrations migrations
COPY static static
COPY templates templates
RUN python3 -m compileall -q scalemesh

FROM debian:trixie-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin scalemesh
COPY --from=made /opt/scalemesh /opt/scalemesh
WORKDIR /opt/scalemesh
USER 10001:10001
ENV HOST=0.0.0.0 \
    PATH=/opt/scalemesh/.venv/bin:/usr/local/bin:/usr/bin:/bin \
    PORT=9000 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
EXPOSE 9000
# Whether the loop turns; whether its parts answer is /health, which nobody should be restarted for.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health/live', timeout=2)"]
ENTRYPOINT ["python", "scalemesh.py"]

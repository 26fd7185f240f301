# The engine and its workers. Built by `docker compose --profile engine build`, or:
#   docker build -t trellis:0.1.0 .
#   docker run --rm --read-only --tmpfs /tmp -v trellis:/data trellis:0.1.0 check-config

FROM python:3.11.14-slim-bookworm AS packages
WORKDIR /build
COPY requirements.lock .
# Locked, checked against their hashes, and without a compiler: wheels only.
RUN python -m venv /opt/trellis \
    && /opt/trellis/bin/pip install --no-cache-dir --disable-pip-version-check \
        --only-binary :all: --require-hashes --requirement requirements.lock \
    && /opt/trellis/bin/pip uninstall --yes pip

FROM python:3.11.14-slim-bookworm
ENV PATH=/opt/trellis/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    TRELLIS_PATHS__DATA=/data
# No shell, no home, no name in common with the host's users.
RUN groupadd --gid 10001 trellis \
    && useradd --uid 10001 --gid trellis --no-create-home --home-dir /tmp --shell /usr/sbin/nologin trellis \
    && install --directory --owner trellis --group trellis --mode 0700 /data
WORKDIR /app
COPY --from=packages /opt/trellis /opt/trellis
COPY main.py ./
COPY proto ./proto
COPY engine ./engine
COPY configs ./configs
# Compiled here: the root file system is read-only when it runs.
RUN python -m compileall -q main.py engine proto
USER 10001:10001
# All that is written, but for /tmp: the data file, artifacts, the embedded servers' files.
VOLUME ["/data"]
EXPOSE 50051 50052 50054 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=6 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9464/readyz', timeout=3)"]
ENTRYPOINT ["python", "main.py"]

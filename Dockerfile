# docs/operating.md says how to run it.
FROM python:3.11-slim AS python

# This stage has a C compiler and makes the compiled copy; the image is the stage below.
FROM python AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev
WORKDIR /src
COPY requirements-build.txt .
RUN pip install --no-cache-dir --require-hashes -r requirements-build.txt
COPY pyproject.toml .
COPY tools tools
COPY sipserver.py .
COPY sip sip
COPY webadmin webadmin
COPY views views
RUN python tools/build_compiled.py /app \
    && rm -r /app/requirements-build.txt /app/pyproject.toml /app/tools

FROM python
RUN useradd --system --uid 10001 --home-dir /data sipserver \
    && install -d -o sipserver -m 700 /data
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes -r requirements.txt
COPY --from=build /app .
# The user sipserver may not write here, so Python would compile the other modules at each start.
RUN python -m compileall -q sip webadmin

USER sipserver
ENV SIPSERVER_DB_PATH=/data/sip_users.db
VOLUME /data
EXPOSE 5060/udp 5060/tcp 5061/tcp 8080/tcp
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=10s --timeout=5s \
    CMD ["python", "-c", "import os, ssl, urllib.request as r; s = 's' * ('SIPSERVER_WEB_CERT' in os.environ); r.urlopen(f'http{s}://127.0.0.1:8080/healthz', timeout=3, context=ssl._create_unverified_context() if s else None)"]
ENTRYPOINT ["python", "sipserver.py"]

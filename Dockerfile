# Built in two steps, so that neither pip's leftovers nor the build tools are in the image. No package index is named:
# pip takes its own, or the one that it is configured for.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# What the service needs comes before its source, so that a change of the source does not install it anew.
COPY requirements/run.txt requirements/build.txt requirements/
RUN python -m venv --without-pip /opt/chainrule \
 && pip --python /opt/chainrule/bin/python install --no-compile --only-binary :all: --require-hashes -r requirements/run.txt \
 && pip install --require-hashes -r requirements/build.txt
# Out goes what nothing that runs ever opens: tests, headers and libraries to compile against, type stubs, F2PY, and of
# Swagger UI all but the files that /docs serves.
WORKDIR /opt/chainrule/lib/python3.13/site-packages
RUN find . -type d \( -name tests -o -path ./numpy/_core/include -o -path ./numpy/f2py -o -path ./numpy/random/lib \
      -o -path ./numpy/_core/lib -o -path ./numpy/_pyinstaller \) -prune -exec rm -rf {} + \
 && find . -type f \( -name '*.pyi' -o -name '*.pxd' -o -name '*.pyx' -o -name '*.map' -o -name '*.a' \) -delete \
 && find flask_swagger_ui/dist -type f ! -name swagger-ui.css ! -name swagger-ui-bundle.js ! -name VERSION -delete

WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY chainrule chainrule
COPY schemas schemas
COPY service service
# Bytecode is made here: under a read-only root it never could be. It is not held against the time of its source again.
RUN python -m hatchling build -t wheel \
 && pip --python /opt/chainrule/bin/python install --no-compile --no-deps --no-index dist/*.whl \
 && /opt/chainrule/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/chainrule/lib

FROM python:3.13-slim
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Chainrule" \
      org.opencontainers.image.description="Gradients of feed-forward networks over HTTP, broken into their three chain-rule factors" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
ENV PATH=/opt/chainrule/bin:$PATH \
    OPENBLAS_NUM_THREADS=1 \
    CHAINRULE_BIND=0.0.0.0:8000 \
    CHAINRULE_ADMIN_BIND=0.0.0.0:9000
COPY --from=build /opt/chainrule /opt/chainrule
# Loads whatever the service loads, which writes the bytecode of that part of the standard library.
RUN ["python", "-c", "import service.cli, service.commands, service.server.server"]
ENV PYTHONDONTWRITEBYTECODE=1

# A number, which Kubernetes can tell from root's. Nothing here belongs to it: any other does as well.
USER 10001:0
EXPOSE 8000 9000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=1s --retries=3 CMD ["chainrule", "health"]
ENTRYPOINT ["chainrule"]
CMD ["serve"]

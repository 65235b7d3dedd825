# The two images of Weir. There is no build stage: `make images` builds the static binaries and fills
# dist/, and packs the same two images without any engine. With one:
#   docker build --target runtime  --tag weir.dev/weir:dev .
#   docker build --target operator --tag weir.dev/weir-operator:dev .
# Nothing is in an image but the binary, one user, and the certificates of public authorities: no shell.

FROM scratch AS operator
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="weir-operator" \
      org.opencontainers.image.description="The operator of Weir: streaming pipelines on Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY dist/rootfs/ /
COPY dist/weir-operator /weir-operator
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/weir-operator"]

FROM scratch AS runtime
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="weir" \
      org.opencontainers.image.description="The data plane of Weir: streaming pipelines on Kafka" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY dist/rootfs/ /
COPY dist/weir /weir
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/weir"]

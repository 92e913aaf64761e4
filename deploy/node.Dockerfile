# The node's image. From the root of the repository:
#
#	docker build -f deploy/node.Dockerfile -t loop-node .
#
# An image is pinned by its tag, for people, and by the digest of that tag's index, which covers every platform. To pin another:
# docker buildx imagetools inspect golang:TAG. `make test` compares the version of Go with go.mod.
FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d AS build
WORKDIR /src
# Each module builds without the workspace, so that a change to a tool makes no new image. GOTOOLCHAIN keeps to the Go above.
ENV CGO_ENABLED=0 GOCACHE=/var/cache/go-build GOTOOLCHAIN=local GOWORK=off
COPY go.mod go.sum ./
COPY gen/go gen/go
COPY sdk/go sdk/go
COPY plugins plugins
COPY host host
ARG TARGETOS TARGETARCH
# timetzdata puts the time zones into the binary: the base has none.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/var/cache/go-build \
	GOOS=$TARGETOS GOARCH=$TARGETARCH go build -C host -trimpath -buildvcs=false -tags timetzdata -ldflags '-s -w' -o /out/ ./cmd/loop && \
	mkdir /out/data

# Nothing runs in this stage: an image for another platform needs no emulator, and two builds of one commit hold the same files.
# The base has a shell and apt for those who add plugins in other languages.
FROM debian:bookworm-20260824-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --chmod=0644 deploy/node.toml /etc/loop/node.toml
COPY --from=build /out/loop /usr/local/bin/
# XDG_DATA_HOME makes /var/lib/loop the RootDir of a configuration that names none: elsewhere, keys would go with the container.
ENV CL_CONFIG=/etc/loop/node.toml XDG_DATA_HOME=/var/lib
# A number, because Kubernetes' runAsNonRoot knows no names. The folder is made for it: some engines leave WORKDIR's to root.
COPY --from=build --chown=10001:10001 /out/data /var/lib/loop
USER 10001:10001
WORKDIR /var/lib/loop
VOLUME /var/lib/loop
EXPOSE 6688 6690
# Healthy means that the node answers, not that all its chains do: plugins heal by themselves, and a restart would not help.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["loop", "plugins", "list"]
ENTRYPOINT ["loop"]
CMD ["node", "start"]
ARG VERSION=devel
LABEL org.opencontainers.image.title="LOOP node" org.opencontainers.image.licenses="MIT" org.opencontainers.image.version=$VERSION

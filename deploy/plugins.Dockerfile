# The node's image with the plugins as processes of their own. From the root of the repository, after node.Dockerfile:
#
#	docker build -f deploy/plugins.Dockerfile -t loop-plugins .
#
# NODE_IMAGE names the node's image; a release names it by its digest.
ARG NODE_IMAGE=loop-node:latest

FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOCACHE=/var/cache/go-build GOTOOLCHAIN=local GOWORK=off
COPY go.mod go.sum ./
COPY gen/go gen/go
COPY sdk/go sdk/go
COPY plugins plugins
ARG TARGETOS TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/var/cache/go-build \
	for plugin in median evm solana starknet; do \
		GOOS=$TARGETOS GOARCH=$TARGETARCH go build -C plugins/$plugin -trimpath -buildvcs=false -ldflags '-s -w' -o /out/ ./cmd/loop-$plugin || exit 1; \
	done

FROM ${NODE_IMAGE}
COPY --from=build /out/ /usr/local/bin/
# With one of these empty (docker run -e CL_MEDIAN_CMD=) that plugin runs inside the node.
ENV CL_MEDIAN_CMD=/usr/local/bin/loop-median \
	CL_EVM_CMD=/usr/local/bin/loop-evm \
	CL_SOLANA_CMD=/usr/local/bin/loop-solana \
	CL_STARKNET_CMD=/usr/local/bin/loop-starknet
LABEL org.opencontainers.image.title="LOOP node with plugins"

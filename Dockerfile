# syntax=docker/dockerfile:1
# The image of all programs: the gateway (what it runs if nothing else is said), the keeper, the operator of Kubernetes, the
# command line of operators. One more is named three times below, in scripts/image.sh and in scripts/sbom.py.
# Nothing else is in it but the libraries that they are linked to and the certificates of authorities: no shell, no package
# manager, nothing that writes. docs/image.md says how to build and to check it.
ARG RUST_VERSION=1.95

FROM docker.io/library/rust:${RUST_VERSION}-slim-bookworm AS toolchain
WORKDIR /build
# Programs that say what they are made of (cargo-auditable), and a layer of dependencies alone (cargo-chef).
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    cargo install --locked cargo-auditable@0.7.7 cargo-chef@0.1.78
ENV CARGO_INCREMENTAL=0 \
    CARGO_PROFILE_RELEASE_STRIP=symbols \
    CARGO_TERM_COLOR=never \
    SQLX_OFFLINE=true

FROM toolchain AS plan
COPY . .
RUN cargo chef prepare --recipe-path /recipe.json

FROM toolchain AS build
COPY --from=plan /recipe.json /recipe.json
# Built again only when Cargo.lock or a manifest changes.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    cargo chef cook --release --locked --recipe-path /recipe.json \
        --package stagedoor-gateway --package stagedoor-keeper --package stagedoor-operator --package stagedoor-ctl
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    cargo auditable build --release --locked \
        --package stagedoor-gateway --package stagedoor-keeper --package stagedoor-operator --package stagedoor-ctl && \
    scripts/image-files.sh /image \
        target/release/stagedoor target/release/stagedoor-keeper target/release/stagedoor-operator target/release/stagedoorctl && \
    cp LICENSE /image/usr/share/stagedoor/LICENSE

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Stagedoor" \
      org.opencontainers.image.description="The stage door between AI agents and music services, a multi-tenant MCP gateway" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="scratch"
COPY --from=build /image /
ENV PATH=/usr/local/bin \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
WORKDIR /
# The public endpoint, probes and metrics, operators.
EXPOSE 8080 9090 9443
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/stagedoor"]
CMD ["serve"]

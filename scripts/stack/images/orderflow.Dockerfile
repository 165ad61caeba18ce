# Our three commands, and the transforms for the set-up service. The context is the checkout.
# No cache mounts, no heredocs, no --platform: the classic builder of docker-compose 1.29 must read it too.

FROM rust:1.95.0-bookworm AS toolchain
# rust-toolchain.toml also asks for clippy and rustfmt, which no image needs; the version is the same, a test holds it.
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN rustup target add wasm32-unknown-unknown

FROM toolchain AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package edge --package transforms --package connectors

FROM build AS modules
RUN target/release/transforms build transforms/modules --out /modules

FROM debian:bookworm-slim AS runtime
# curl is for the health checks.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl libssl3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin orderflow
USER orderflow

FROM runtime AS edge
COPY --from=build /src/target/release/edge /usr/local/bin/edge
ENTRYPOINT ["edge"]

FROM runtime AS transforms
COPY --from=build /src/target/release/transforms /usr/local/bin/transforms
ENTRYPOINT ["transforms"]
CMD ["serve"]

FROM runtime AS connectors
COPY --from=build /src/target/release/connectors /usr/local/bin/connectors
ENTRYPOINT ["connectors"]
CMD ["serve"]

FROM connectors AS setup
COPY --from=modules /modules /modules
CMD ["apply", "--files", "/connectors", "--modules", "/modules"]

# The operator as a Linux image: one program, as the user that charts/windlass names (65532), with nothing to write to.
#
#   docker buildx build --platform linux/amd64 --output type=registry --tag REGISTRY/windlass:VERSION .
#
# `--platform linux/amd64,linux/arm64` makes a list of both. The one that is not the builder's own is then built by emulation,
# which takes hours; a builder with a node of each (`docker buildx create --append`) takes minutes.
ARG RUST=1.95
FROM docker.io/library/rust:${RUST}-trixie AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --release --package windlass --bin windlass

# The same Debian, for its libc; the certificate authorities that the operator trusts are in it, too.
FROM gcr.io/distroless/cc-debian13:nonroot
COPY --from=build /src/target/release/windlass /usr/local/bin/windlass
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/windlass"]

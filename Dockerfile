# The programs `tpo` and `textgrad` in a small image, run by a user without privileges.
#
#   docker build -t tpo .
#   docker run --rm -v "$PWD:/work" --user "$(id -u):$(id -g)" tpo run --data prompts.json --out runs/first
#   docker run --rm -p 8080:8080 -e TPO_SERVE_KEYS tpo serve --host 0.0.0.0   # see docs/serve.md
# This image has the C compiler that SQLite and Zstandard need, but not the make that the allocator needs.
FROM rust:1-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN cargo install --locked --path tpo --profile dist --features jemalloc,parquet,queue,tokenizer --root /out \
    && cargo install --locked --path textgrad-ops --features cli --root /out

FROM debian:bookworm-slim
# The system's root certificates, for servers with HTTPS.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 tpo && mkdir /work && chown tpo /work
COPY --from=build /out/bin/tpo /out/bin/textgrad /usr/local/bin/
USER tpo
WORKDIR /work
ENTRYPOINT ["tpo"]
CMD ["run"]

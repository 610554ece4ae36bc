# An image with nothing in it but the programs: docker build -t wavechat . && docker run -p 8080:8080 -v wavechat:/data wavechat
# With programs that were built already, which needs no builder and no network: docker build --target prebuilt -t wavechat .
#
# HEALTHCHECK asks over the administrator's socket, which lies with the data. Give other places as variables (WAVECHAT_DATA,
# WAVECHAT_ADMIN_SOCKET), so that wavechatctl finds them as well. Podman keeps a HEALTHCHECK with --format docker alone.
# Orchestrators ask GET /health from outside.

FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends make git
COPY . /src
WORKDIR /src
# A build without .git needs the version: --build-arg VERSION=1.0.0
ARG VERSION
RUN make setup && make ${VERSION:+VERSION=$VERSION} build/wavechatd build/wavechatctl && mkdir -m 700 /data && mkdir /image && mkdir -m 1777 /image/tmp

FROM scratch AS prebuilt
COPY build/wavechatd build/wavechatctl /bin/
ENV WAVECHAT_DATA=/data/wavechat
# Makes /tmp, where the administrator's socket is with WAVECHAT_DATA=:memory:
WORKDIR /tmp
WORKDIR /
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=15s --start-period=15m CMD ["/bin/wavechatctl", "status"]
ENTRYPOINT ["/bin/wavechatd"]

FROM scratch
COPY --from=build /src/build/wavechatd /src/build/wavechatctl /bin/
COPY --from=build /image /
# As nobody; a new volume takes the owner of the folder it is mounted on. A folder of the machine must belong to 65534, or add --user 0.
COPY --from=build --chown=65534:65534 /data /data
USER 65534:65534
ENV WAVECHAT_DATA=/data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=15s --start-period=15m CMD ["/bin/wavechatctl", "status"]
ENTRYPOINT ["/bin/wavechatd"]

# An image with nothing in it but the program: docker build -t wavechat . && docker run -p 8080:8080 -v wavechat:/data wavechat
# With a program that was built already, which needs no builder and no network: docker build --target prebuilt -t wavechat .
#
# There is no HEALTHCHECK: it would need a second program in the image. Ask GET /health from outside, as orchestrators do.

FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends make git
COPY . /src
WORKDIR /src
# Whoever builds without .git names the version: --build-arg VERSION=1.0.0
ARG VERSION
RUN make setup && make ${VERSION:+VERSION=$VERSION} build/wavechatd build/wavechatctl && mkdir -m 700 /data

FROM scratch AS prebuilt
COPY build/wavechatd build/wavechatctl /bin/
ENV WAVECHAT_DATA=/data/wavechat
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["/bin/wavechatd"]

FROM scratch
COPY --from=build /src/build/wavechatd /src/build/wavechatctl /bin/
# As nobody; a new volume takes the owner of the folder it is mounted on. A folder of the machine must belong to 65534, or add --user 0.
COPY --from=build --chown=65534:65534 /data /data
USER 65534:65534
ENV WAVECHAT_DATA=/data
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["/bin/wavechatd"]

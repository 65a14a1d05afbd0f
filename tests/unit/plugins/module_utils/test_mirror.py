# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading from the mirror, against real TLS servers."""

from __future__ import annotations

import base64
import json
import socket
import typing as t

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils._mirror import Mirror, MirrorError

Site = t.Any
DATA = bytes(range(256)) * 5000
BASIC = "Basic " + base64.b64encode(b"hostplane:open-sesame").decode()
REPOSITORY = "hostplane/files"


@pytest.fixture
def mirror_site(site: Site) -> Site:
    site.add_blob(REPOSITORY, DATA)
    return site


def mirror(site: Site, **options: t.Any) -> Mirror:
    return Mirror.from_options({**site.options, **options}, timeout=5)


def blob_path(site: Site) -> str:
    return next(path for path in site.answers if "/blobs/" in path)


def read(site: Site, **options: t.Any) -> bytes:
    digest = blob_path(site).rpartition("/")[2]
    with mirror(site, **options).open_blob(REPOSITORY, digest) as stream:
        return bytes(stream.read())


def failure(site: Site, **options: t.Any) -> str:
    with pytest.raises(MirrorError) as caught:
        read(site, **options)
    assert "open-sesame" not in str(caught.value)
    assert base64.b64encode(b"hostplane:open-sesame").decode() not in str(caught.value)
    return str(caught.value)


def test_blob_is_read_with_credentials(mirror_site: Site) -> None:
    assert read(mirror_site) == DATA
    assert [asked.authorization for asked in mirror_site.asked] == [BASIC]


def test_no_user_no_credentials(mirror_site: Site) -> None:
    assert read(mirror_site, username="", password="") == DATA
    assert [asked.authorization for asked in mirror_site.asked] == [""]


def test_prefix_comes_before_the_repository(mirror_site: Site) -> None:
    digest = mirror_site.add_blob("project/hostplane/files", b"x")
    with mirror(mirror_site, prefix="project/").open_blob(REPOSITORY, f"sha256:{digest}") as stream:
        assert stream.read() == b"x"


def test_untrusted_certificate(mirror_site: Site, make_site: t.Callable[..., Site]) -> None:
    assert "is not trusted: self" in failure(mirror_site, ca=make_site().ca)
    assert "(mirror_ca_file)" in failure(mirror_site, ca="")
    assert mirror_site.asked == []


@pytest.mark.parametrize("name", ["192.0.2.1", "mirror.example.org"])
def test_certificate_of_another_name(make_site: t.Callable[..., Site], name: str) -> None:
    site = make_site(name)
    site.add_blob(REPOSITORY, DATA)
    assert "is not trusted: IP address mismatch" in failure(site)
    assert site.asked == []


@pytest.mark.parametrize("text", ["nonsense", "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n"])
def test_unreadable_ca(mirror_site: Site, text: str) -> None:
    assert "CA is not readable as PEM" in failure(mirror_site, ca=text)


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "the user name or password is wrong"),
        (403, "may not read this repository"),
        (404, "run the mirror playbook for this release"),
        (503, "answered 503: Service Unavailable"),
    ],
)
def test_refusals_are_explained(mirror_site: Site, status: int, hint: str) -> None:
    mirror_site.answers[blob_path(mirror_site)] = mirror_site.Answer(status=status)
    text = failure(mirror_site)
    assert hint in text and f"answered {status}" in text and mirror_site.address in text


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = Mirror(f"127.0.0.1:{taken.getsockname()[1]}", "", "", "", "", 2)
        with pytest.raises(MirrorError, match="can't be reached: .*refused"):
            nobody.open_blob(REPOSITORY, "sha256:0")


@pytest.mark.parametrize("said", [b"", b"garbage\r\n\r\n"])
def test_not_a_registry_at_all(mirror_site: Site, said: bytes) -> None:
    class Broken:
        @staticmethod
        def open(*args: t.Any, **kwargs: t.Any) -> t.Any:
            import http.client

            raise http.client.BadStatusLine(said.decode())

    broken = mirror(mirror_site)
    broken._opener = Broken  # type: ignore[assignment]
    with pytest.raises(MirrorError, match="can't be reached"):
        broken.open_blob(REPOSITORY, "sha256:0")


def test_timeout(mirror_site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(MirrorError, match="can't be reached: .*timed out"):
            Mirror(address, "", "", "", mirror_site.ca, 0.2).open_blob(REPOSITORY, "sha256:0")  # type: ignore[arg-type]


def with_tokens(site: Site, token: t.Callable[[t.Any], bytes], realm: str = "") -> None:
    """Make the server ask for a token, as Harbor does."""
    path = blob_path(site)
    realm = realm or f"https://{site.address}/service/token"
    challenge = f'Bearer realm="{realm}",service="harbor",scope="repository:{REPOSITORY}:pull"'

    def blob(asked: t.Any) -> t.Any:
        right = asked.authorization == "Bearer t0ken"
        return site.Answer(body=DATA) if right else site.Answer(401, headers={"WWW-Authenticate": challenge})

    site.answers[path] = blob
    site.answers["/service/token"] = lambda asked: site.Answer(body=token(asked))


@pytest.mark.parametrize("key", ["token", "access_token"])
def test_token_is_fetched_and_kept(mirror_site: Site, key: str) -> None:
    with_tokens(mirror_site, lambda asked: json.dumps({key: "t0ken"}).encode())
    one = mirror(mirror_site)
    digest = blob_path(mirror_site).rpartition("/")[2]
    for _turn in range(2):
        with one.open_blob(REPOSITORY, digest) as stream:
            assert stream.read() == DATA
    assert [asked.authorization for asked in mirror_site.asked] == [BASIC, BASIC, "Bearer t0ken", "Bearer t0ken"]
    query = mirror_site.asked[1].path
    assert query == "/service/token?service=harbor&scope=repository%3Ahostplane%2Ffiles%3Apull"


def test_expired_token_is_renewed(mirror_site: Site) -> None:
    with_tokens(mirror_site, lambda asked: b'{"token": "t0ken"}')
    one = mirror(mirror_site)
    one._authorization = "Bearer old"
    with one.open_blob(REPOSITORY, blob_path(mirror_site).rpartition("/")[2]) as stream:
        assert stream.read() == DATA


def test_anonymous_token_is_asked_for_without_credentials(mirror_site: Site) -> None:
    with_tokens(mirror_site, lambda asked: b'{"token": "t0ken"}')
    assert read(mirror_site, username="", password="") == DATA
    assert [asked.authorization for asked in mirror_site.asked] == ["", "", "Bearer t0ken"]


def test_token_that_is_not_accepted(mirror_site: Site) -> None:
    with_tokens(mirror_site, lambda asked: b"{}")
    assert "the user name or password is wrong" in failure(mirror_site)


@pytest.mark.parametrize("body", [b"not json", b"[]"])
def test_token_service_answers_something_else(mirror_site: Site, body: bytes) -> None:
    with_tokens(mirror_site, lambda asked: body)
    failure(mirror_site)


def test_token_is_never_fetched_without_tls(mirror_site: Site) -> None:
    with_tokens(mirror_site, lambda asked: b"{}", realm="http://auth.example.org/token")
    assert "which is not https" in failure(mirror_site)
    assert len(mirror_site.asked) == 1


def test_redirect_to_another_host_carries_no_credentials(mirror_site: Site, make_site: t.Callable[..., Site]) -> None:
    storage = make_site()
    path = blob_path(mirror_site)
    storage.answers["/bucket/x"] = storage.Answer(body=b"from storage")
    mirror_site.answers[path] = mirror_site.Answer(
        307, headers={"Location": f"https://{storage.address}/bucket/x?signature=1"}
    )
    assert read(mirror_site, ca=mirror_site.ca + storage.ca) == b"from storage"
    assert [asked.authorization for asked in storage.asked] == [""]
    # And the storage's certificate is verified as well.
    assert "is not trusted" in failure(mirror_site)


def test_redirect_on_the_same_host_keeps_credentials(mirror_site: Site) -> None:
    path = blob_path(mirror_site)
    mirror_site.answers["/moved"] = mirror_site.Answer(body=b"moved")
    mirror_site.answers[path] = mirror_site.Answer(302, headers={"Location": "/moved"})
    assert read(mirror_site) == b"moved"
    assert mirror_site.asked[-1].authorization == BASIC


def test_redirect_away_from_tls_is_refused(mirror_site: Site) -> None:
    location = f"http://{mirror_site.address}/plain?signature=secret"
    mirror_site.answers[blob_path(mirror_site)] = mirror_site.Answer(status=302, headers={"Location": location})
    text = failure(mirror_site)
    assert "which is not https" in text and "secret" not in text
    assert len(mirror_site.asked) == 1


def test_artifact(mirror_site: Site) -> None:
    mirror_site.add_artifact("hostplane/lock", "1.36.3-amd64", b"{}")
    assert mirror(mirror_site).read_artifact("hostplane/lock", "1.36.3-amd64") == b"{}"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"layers": []}', b"\xff"])
def test_artifact_that_is_none(mirror_site: Site, body: bytes) -> None:
    mirror_site.answers["/v2/hostplane/lock/manifests/1"] = mirror_site.Answer(body=body)
    with pytest.raises(MirrorError, match="hostplane/lock:1 is not an artifact of this collection"):
        mirror(mirror_site).read_artifact("hostplane/lock", "1")


def test_artifact_whose_layer_was_altered(mirror_site: Site) -> None:
    mirror_site.add_artifact("hostplane/lock", "1", b"the lock")
    path = next(path for path in mirror_site.answers if "lock/blobs" in path)
    mirror_site.answers[path] = mirror_site.Answer(body=b"another lock")
    with pytest.raises(MirrorError, match="is damaged"):
        mirror(mirror_site).read_artifact("hostplane/lock", "1")

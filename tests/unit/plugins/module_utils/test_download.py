# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads against a real HTTP server laid out like the public ones."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import socket
import tarfile
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _download
from ansible_collections.hostplane.cluster.plugins.module_utils._download import (
    DownloadError,
    Wanted,
    bare_sum,
    download,
    fetch,
    is_current,
    map_prefix,
)
from hypothesis import given
from hypothesis import strategies as st

KUBELET = bytes(range(256)) * 20000


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        link = tarfile.TarInfo("bin/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        for name, data in members.items():
            info = tarfile.TarInfo(f"./bin/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


class Site:
    """A download host: what it serves, how it misbehaves, and what was asked of it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.statuses: dict[str, list[int]] = {}
        self.cut: dict[str, list[int]] = {}
        self.redirects: dict[str, str] = {}
        self.ranges = True
        self.asked: list[tuple[str, str | None]] = []
        self.url = ""


class Handler(http.server.BaseHTTPRequestHandler):
    site: Site

    def log_message(self, *args: t.Any) -> None:
        pass

    def do_GET(self) -> None:
        site, path = self.site, self.path
        site.asked.append((path, self.headers.get("Range")))
        if site.statuses.get(path):
            return self.send_error(site.statuses[path].pop(0))
        if path in site.redirects:
            self.send_response(302)
            self.send_header("Location", site.redirects[path])
            self.end_headers()
            return None
        if path not in site.files:
            return self.send_error(404)
        body, start = site.files[path], 0
        asked = self.headers.get("Range")
        if asked and site.ranges:
            start = int(asked[len("bytes=") : -1])
            if start >= len(body):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        limit = site.cut[path].pop(0) if site.cut.get(path) else len(body)
        self.wfile.write(body[start : start + limit])
        return None


@pytest.fixture
def site() -> t.Iterator[Site]:
    state = Site()
    handler = type("SiteHandler", (Handler,), {"site": state})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    state.files = {
        "/dl.k8s.io/release/v1.36.3/bin/linux/amd64/kubelet": KUBELET,
        "/github.com/containerd/containerd/releases/download/v2.3.4/containerd-2.3.4-linux-amd64.tar.gz": archive(
            containerd=b"containerd program", ctr=b"ctr program"
        ),
    }
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(_download.time, "sleep", pauses.append)
    return pauses


PATH = "/dl.k8s.io/release/v1.36.3/bin/linux/amd64/kubelet"
CONTAINERD = "/github.com/containerd/containerd/releases/download/v2.3.4/containerd-2.3.4-linux-amd64.tar.gz"


def kubelet(folder: Path, digest: str = "") -> Wanted:
    url = "https:/" + PATH
    return Wanted("kubelet", url, digest or sha(KUBELET), str(folder / "files/kubelet"), 0o755)


def run(site: Site, *wanted: Wanted, retries: int = 2) -> list[str]:
    hosts = {f"https://{host}": f"{site.url}/{host}" for host in ("dl.k8s.io", "github.com")}
    return download(wanted, hosts, retries=retries, timeout=5)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if ".part" in path.name)


def test_good_file_is_installed_with_mode_and_stamp(site: Site, tmp_path: Path) -> None:
    item = kubelet(tmp_path)
    assert not is_current(item)
    assert run(site, item) == []
    assert Path(item.dest).read_bytes() == KUBELET
    assert os.stat(item.dest).st_mode & 0o777 == 0o755
    assert is_current(item) and is_current(item, full=True)
    assert leftovers(tmp_path) == []


def test_changed_content_is_noticed(site: Site, tmp_path: Path) -> None:
    item = kubelet(tmp_path)
    run(site, item)
    times = os.stat(item.dest)
    Path(item.dest).write_bytes(b"x" * len(KUBELET))
    assert not is_current(item), "another time of modification"
    os.utime(item.dest, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert is_current(item), "the cheap check reads no content"
    assert not is_current(item, full=True)


def test_another_wanted_sum_is_not_current(site: Site, tmp_path: Path) -> None:
    run(site, kubelet(tmp_path))
    assert not is_current(kubelet(tmp_path, "0" * 64))


def test_corrupted_file_is_final_and_leaves_nothing(site: Site, tmp_path: Path) -> None:
    good = sha(KUBELET)
    site.files[PATH] = b"<html>captive portal</html>"
    (problem,) = run(site, kubelet(tmp_path))
    assert "corrupted" in problem and good in problem and sha(site.files[PATH]) in problem
    assert "kubelet" in problem and PATH in problem
    assert len(site.asked) == 1
    assert leftovers(tmp_path) == [] and not (tmp_path / "files/kubelet").exists()


def test_truncated_file_is_continued(site: Site, tmp_path: Path) -> None:
    site.cut[PATH] = [1_000_000, 1_000_000]
    item = kubelet(tmp_path)
    assert run(site, item) == []
    assert [asked for path, asked in site.asked] == [None, "bytes=1000000-", "bytes=2000000-"]
    assert Path(item.dest).read_bytes() == KUBELET


def test_truncated_every_time_names_the_bytes_and_keeps_the_part(site: Site, tmp_path: Path) -> None:
    site.cut[PATH] = [100] * 9
    (problem,) = run(site, kubelet(tmp_path))
    assert f"truncated: got 300 of {len(KUBELET)} bytes, 3 times" in problem
    assert leftovers(tmp_path) == [f".{sha(KUBELET)[:16]}.part"]
    site.cut.clear()
    assert run(site, kubelet(tmp_path)) == []
    assert site.asked[-1][1] == "bytes=300-"


def test_server_without_range_starts_again(site: Site, tmp_path: Path) -> None:
    site.ranges = False
    site.cut[PATH] = [1_000_000]
    item = kubelet(tmp_path)
    assert run(site, item) == []
    assert Path(item.dest).read_bytes() == KUBELET


@pytest.mark.parametrize("old", [b"another file", KUBELET + b"longer", KUBELET[:-1] + b"!"])
def test_wrong_part_is_thrown_away(site: Site, tmp_path: Path, old: bytes) -> None:
    item = kubelet(tmp_path)
    part = tmp_path / "files" / f".{item.sha256[:16]}.part"
    part.parent.mkdir()
    part.write_bytes(old)
    assert run(site, item) == []
    assert Path(item.dest).read_bytes() == KUBELET


def test_complete_part_needs_no_transfer(site: Site, tmp_path: Path) -> None:
    item = kubelet(tmp_path)
    part = tmp_path / "files" / f".{item.sha256[:16]}.part"
    part.parent.mkdir()
    part.write_bytes(KUBELET)
    assert run(site, item) == []
    assert site.asked == [(PATH, f"bytes={len(KUBELET)}-")]


def test_missing_file_is_not_asked_for_twice(site: Site, tmp_path: Path) -> None:
    del site.files[PATH]
    (problem,) = run(site, kubelet(tmp_path))
    assert "HTTP 404" in problem and "release catalogue" in problem
    assert len(site.asked) == 1


def test_server_errors_are_retried_with_growing_pauses(site: Site, tmp_path: Path, no_pause: list[float]) -> None:
    site.statuses[PATH] = [503, 500]
    assert run(site, kubelet(tmp_path)) == []
    assert no_pause == [1.0, 2.0]
    site.statuses[PATH] = [502] * 9
    (problem,) = run(site, kubelet(tmp_path / "again"))
    assert "HTTP 502" in problem and "3 times" in problem


def test_redirect_is_followed(site: Site, tmp_path: Path) -> None:
    site.files["/objects.example/1"] = site.files.pop(PATH)
    site.redirects[PATH] = f"{site.url}/objects.example/1"
    assert run(site, kubelet(tmp_path)) == []


def test_unreachable_and_unknown_hosts_name_the_remedy(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(DownloadError, match="refused"):
        fetch(f"http://127.0.0.1:{port}/x", "0" * 64, str(tmp_path / "p"))
    with pytest.raises(DownloadError, match="host name not found") as found:
        fetch("http://no-such-host.invalid/x", "0" * 64, str(tmp_path / "p"))
    assert "DNS" in found.value.remedy


def test_silent_server_times_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(DownloadError, match=r"no data for 0.1 s, 2 times"):
            fetch(url, "0" * 64, str(tmp_path / "p"), retries=1, timeout=0.1)


def members(site: Site, folder: Path, *names: str) -> list[Wanted]:
    url = "https:/" + CONTAINERD
    return [Wanted(n, url, sha(site.files[CONTAINERD]), str(folder / n), 0o755, f"bin/{n}") for n in names]


def test_archive_is_downloaded_once_for_its_members(site: Site, tmp_path: Path) -> None:
    wanted = members(site, tmp_path, "containerd", "ctr") + members(site, tmp_path / "tools", "ctr")
    assert run(site, *wanted) == []
    assert (tmp_path / "tools/ctr").read_bytes() == (tmp_path / "ctr").read_bytes() == b"ctr program"
    assert len(site.asked) == 1 and leftovers(tmp_path) == []
    assert all(is_current(item, full=True) for item in wanted)


def test_corrupted_archive_is_never_opened(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = members(site, tmp_path, "containerd")
    site.files[CONTAINERD] += b"\0"
    monkeypatch.setattr(_download, "extract", lambda *args: pytest.fail("opened"))
    (problem,) = run(site, *wanted)
    assert "corrupted" in problem


@pytest.mark.parametrize("name", ["link", "absent"])
def test_only_regular_members_count(site: Site, tmp_path: Path, name: str) -> None:
    (problem,) = run(site, *members(site, tmp_path, name))
    assert f"no regular file bin/{name}" in problem
    assert not os.path.lexists(tmp_path / name)


def test_all_failures_are_reported_together(site: Site, tmp_path: Path) -> None:
    good = members(site, tmp_path, "ctr")
    wanted = [*good, kubelet(tmp_path, "1" * 64), Wanted("crictl", site.url + "/crictl", "2" * 64, str(tmp_path / "c"))]
    problems = run(site, *wanted)
    assert len(problems) == 2
    assert "crictl" in problems[0] and "404" in problems[0] and "corrupted" in problems[1]
    assert (tmp_path / "ctr").exists()


def test_same_download_for_two_files(site: Site, tmp_path: Path) -> None:
    first = kubelet(tmp_path)
    second = Wanted("copy", first.url, first.sha256, str(tmp_path / "files/copy"))
    assert run(site, first, second) == []
    assert Path(second.dest).read_bytes() == KUBELET and len(site.asked) == 1


@pytest.mark.parametrize("text", ["sha256:" + "A" * 64, "a" * 64, " " + "a" * 64 + "\n"])
def test_sums_of_the_catalogue(text: str) -> None:
    assert bare_sum(text) == "a" * 64


@given(st.text(max_size=70).filter(lambda text: len(text.strip()) not in (64, 71)))
def test_other_sums_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        bare_sum(text)


def test_longest_prefix_at_a_boundary_wins() -> None:
    mapping = {"https://a": "http://one", "https://a/b/": "http://two/"}
    assert map_prefix("https://a/c", mapping) == "http://one/c"
    assert map_prefix("https://a/b/c", mapping) == "http://two/c"
    assert map_prefix("https://ab/c", mapping) == "https://ab/c"


@given(st.text(max_size=40))
def test_no_mapping_changes_nothing(url: str) -> None:
    assert map_prefix(url, {}) == url

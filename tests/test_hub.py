"""Sharing on the Hugging Face Hub: huggingface_hub itself against a server on this machine."""

import base64
import hashlib
import json
import re
import socket
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline

import skeeg
from skeeg import EEGArray, Scaler, SincShallowNetClassifier
from skeeg.modules import SSTDPN, SincShallowNet
from skeeg.persistence import model_card

TOKEN = "hf_right"


class _Handler(BaseHTTPRequestHandler):
    """The few calls of the Hub's interface that uploads and downloads of models take."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        hub = self.server
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path):
            repo_id, revision, name = match.groups()
            if refusal := self.refusal(repo_id):
                return self.answer(*refusal)
            commits = hub.repos[repo_id]["commits"]
            if revision == "main":
                revision = len(commits)
            elif revision.isdecimal() and 1 <= int(revision) <= len(commits):
                revision = int(revision)
            else:
                return self.answer(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            if name not in commits[revision - 1]:
                return self.answer(404, "EntryNotFound", "Entry not found")
            content = commits[revision - 1][name]
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            return self.send(200, content, {"ETag": etag, "X-Repo-Commit": f"{revision:040d}"})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/.*)?", self.path):
            return self.answer(*(self.refusal(match[1]) or (200, {"id": match[1]})))
        return self.answer(404, "NotFound", f"no such call: {self.path}")

    do_HEAD = do_GET

    def do_POST(self):
        hub = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if self.user() is None:
            return self.answer(401, None, "Invalid username or password.")
        if self.path == "/api/repos/create":
            wanted = json.loads(body)
            repo_id = f"{wanted['organization']}/{wanted['name']}"
            private = wanted.get("visibility") == "private" or wanted.get("private") is True
            known = repo_id in hub.repos
            hub.repos.setdefault(repo_id, {"private": private, "commits": [], "messages": []})
            return self.answer(409 if known else 200, {"url": f"{hub.address}/{repo_id}"})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", self.path):
            files = [{"path": file["path"]} for file in json.loads(body)["files"]]
            plain = {"uploadMode": "regular", "shouldIgnore": False}  # within the commit, not to a store
            return self.answer(200, {"files": [file | plain for file in files]})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", self.path):
            repo = hub.repos[match[1]]
            header, *operations = (json.loads(line) for line in body.splitlines())
            assert all(operation["key"] == "file" for operation in operations)
            files = {o["value"]["path"]: base64.b64decode(o["value"]["content"]) for o in operations}
            repo["commits"].append({**(repo["commits"][-1] if repo["commits"] else {}), **files})
            repo["messages"].append(header["value"]["summary"])
            commit = f"{len(repo['commits']):040d}"
            url = f"{hub.address}/{match[1]}/commit/{commit}"
            return self.answer(200, {"success": True, "commitOid": commit, "commitUrl": url})
        return self.answer(404, "NotFound", f"no such call: {self.path}")

    def user(self):
        return "me" if self.headers.get("Authorization") == f"Bearer {TOKEN}" else None

    def refusal(self, repo_id):
        """What the Hub answers about a repository that it does not show; None if it does."""
        if self.headers.get("Authorization") and self.user() is None:
            return 401, None, "Invalid credentials in Authorization header"
        if repo_id == "me/barred":
            return 403, None, ""
        repo = self.server.repos.get(repo_id)
        if repo is not None and (self.user() or not repo["private"]):
            return None
        # without a token, what is private cannot be told from what does not exist
        return 404 if self.user() else 401, "RepoNotFound", "Repository not found"

    def answer(self, status, content, message=None):
        if message is None:
            return self.send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})
        headers = {"X-Error-Message": message} | ({"X-Error-Code": content} if content else {})
        return self.send(status, b"", headers)

    def send(self, status, content, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub on this machine: ``repos`` by name, each with its commits; huggingface_hub talks to it alone."""
    constants = pytest.importorskip("huggingface_hub.constants")
    file_download = pytest.importorskip("huggingface_hub.file_download")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.repos = {}
    server.address = f"http://127.0.0.1:{server.server_port}"

    def move(address):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        for room in (constants, file_download):  # older versions keep it in both
            monkeypatch.setattr(room, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)

    server.move = move
    move(server.address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def trials():
    rng = np.random.default_rng(0)
    y = np.repeat(["left", "right"], 10)
    return EEGArray(10 * rng.standard_normal((20, 3, 120)).astype(np.float32), 100.0, ["C3", "Cz", "C4"]), y


def classifier(**params):
    return SincShallowNetClassifier(
        num_time_filters=4, pool_size=25, max_epochs=1, random_state=0, verbose=0, **params
    )


def network(seed=0):
    torch.manual_seed(seed)
    return SincShallowNet(3, 2, 120, sfreq=100.0, num_time_filters=4, pool_size=25).eval()


def test_pipelines_travel(hub, tmp_path):
    X, y = trials()
    pipe = make_pipeline(Scaler(), classifier()).fit(X, y)
    url = skeeg.push_to_hub(pipe, "me/pipe", token=TOKEN)
    assert url == f"{hub.address}/me/pipe/commit/{1:040d}"
    assert hub.repos["me/pipe"]["messages"] == ["Upload SincShallowNetClassifier"]
    files = hub.repos["me/pipe"]["commits"][0]
    assert sorted(files) == ["README.md", "estimator.safetensors"]
    assert "steps: Scaler, SincShallowNetClassifier" in files["README.md"].decode()
    same = skeeg.from_pretrained("me/pipe", cache_dir=tmp_path / "fresh")
    np.testing.assert_array_equal(same.predict_proba(X), pipe.predict_proba(X))
    assert same.predict(X).tolist() == pipe.predict(X).tolist()


def test_estimators_come_with_a_card(hub, tmp_path):
    X, y = trials()
    clf = classifier().fit(X, y)
    clf.push_to_hub("me/left-right", data="Two hands.", score={"accuracy": 0.8125}, token=TOKEN)
    files = hub.repos["me/left-right"]["commits"][0]
    card = files["README.md"].decode()
    for part in (
        "library_name: skeeg",
        'skeeg.from_pretrained("me/left-right")',
        "Two hands.",
        "| accuracy | 0.8125 |",
        "120 samples at 100 Hz",
        "3 channels: C3, Cz, C4",
        "classes: left, right",
        "SincShallowNetClassifier(",
        "sinc_filter_layer",
    ):
        assert part in card, part
    (tmp_path / "copy").mkdir()
    for name, content in files.items():
        (tmp_path / "copy" / name).write_bytes(content)
    same = skeeg.from_pretrained(tmp_path / "copy")
    np.testing.assert_array_equal(same.predict_proba(X), clf.predict_proba(X))
    assert "Not reported." in model_card(clf)


def test_networks_travel(hub, tmp_path):
    net, x = network(), torch.randn(4, 3, 120)
    url = net.push_to_hub("me/net", token=TOKEN, commit_message="First")
    assert url == f"{hub.address}/me/net/commit/{1:040d}"
    assert hub.repos["me/net"]["messages"] == ["First"]
    assert sorted(hub.repos["me/net"]["commits"][0]) == ["config.json", "model.safetensors"]
    same = SincShallowNet.from_pretrained("me/net", cache_dir=tmp_path / "fresh")
    assert torch.equal(same(x), net(x))
    with pytest.raises(ValueError, match=r"me/net holds a network SincShallowNet"):
        SSTDPN.from_pretrained("me/net")


def test_revisions(hub):
    first, second, x = network(1), network(2), torch.randn(4, 3, 120)
    first.push_to_hub("me/net", token=TOKEN)
    second.push_to_hub("me/net", token=TOKEN)
    assert torch.equal(SincShallowNet.from_pretrained("me/net")(x), second(x))
    assert torch.equal(SincShallowNet.from_pretrained("me/net", revision=f"{1:040d}")(x), first(x))
    with pytest.raises(FileNotFoundError, match=r"'me/net'.*Invalid rev id: v9.*revision"):
        SincShallowNet.from_pretrained("me/net", revision="v9")


def test_private_repositories_need_a_token(hub):
    net, x = network(), torch.randn(4, 3, 120)
    net.push_to_hub("me/secret", private=True, token=TOKEN)
    assert hub.repos["me/secret"]["private"]
    assert torch.equal(SincShallowNet.from_pretrained("me/secret", token=TOKEN)(x), net(x))


def refused(call, *parts):
    with pytest.raises(OSError, match="Hub") as caught:
        call()
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.type


@pytest.mark.parametrize("load", [skeeg.from_pretrained, SincShallowNet.from_pretrained])
def test_what_cannot_be_read_is_one_clear_error(hub, load):
    network().push_to_hub("me/secret", private=True, token=TOKEN)
    hub.repos["me/empty"] = {"private": False, "commits": [{"README.md": b""}], "messages": []}
    for repo_id, token, status, kind in (
        ("me/nothing", TOKEN, "404", FileNotFoundError),
        ("me/nothing", None, "401", PermissionError),
        ("me/secret", None, "401", PermissionError),
        ("me/secret", "hf_wrong", "401", PermissionError),
        ("me/barred", TOKEN, "403", PermissionError),
        ("me/empty", None, "404", FileNotFoundError),
    ):
        call = partial(load, repo_id, token=token)
        assert refused(call, f"of '{repo_id}'", f"status {status}", "give token") is kind


@pytest.fixture
def closed_hub(hub, monkeypatch):
    """A Hub that nobody can reach, and a cache with one repository in it."""
    clf = classifier().fit(*trials())
    clf.push_to_hub("me/known", token=TOKEN)
    skeeg.from_pretrained("me/known")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        hub.move(f"http://127.0.0.1:{free.getsockname()[1]}")
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    yield clf
    assert sum(waits) == 0


@pytest.mark.parametrize("load", [skeeg.from_pretrained, SincShallowNet.from_pretrained])
def test_a_hub_out_of_reach_is_one_clear_error_at_once(closed_hub, load):
    with pytest.raises(ConnectionError) as caught:
        load("me/unknown")
    message = str(caught.value)
    assert message.startswith("'me/unknown' is no directory here, was not fetched before, and cannot be")
    assert "the Hub cannot be reached (" in message
    assert "\n" not in message


def test_a_hub_out_of_reach_cannot_be_written_to(closed_hub):
    for thing in (closed_hub, network()):
        with pytest.raises(ConnectionError, match="the Hub cannot be reached: "):
            thing.push_to_hub("me/thing", token=TOKEN)


def test_what_was_fetched_before_needs_no_hub(closed_hub):
    X, _ = trials()
    same = skeeg.from_pretrained("me/known")
    np.testing.assert_array_equal(same.predict_proba(X), closed_hub.predict_proba(X))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_in_trouble_says_its_status(hub, status, monkeypatch):
    monkeypatch.setattr(_Handler, "refusal", lambda self, repo_id: (status, None, "later"))
    with pytest.raises(ConnectionError, match=f"the Hub answers with status {status}"):
        skeeg.from_pretrained("me/any")


@pytest.mark.parametrize("name", ["no such/thing", "a--b/c", "user/ü"])
def test_what_cannot_be_a_name_on_the_hub(hub, name):
    with pytest.raises(FileNotFoundError, match="no name of a repository on the Hub: ") as caught:
        skeeg.from_pretrained(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("token", [None, "hf_wrong"])
def test_writing_without_permission_is_one_clear_error(hub, token):
    clf = classifier().fit(*trials())
    for thing in (clf, network()):
        call = partial(thing.push_to_hub, "me/thing", token=token)
        assert refused(call, "to write to 'me/thing'", "status 401", "hf auth login") is PermissionError
    assert hub.repos == {}


def test_hub_says_how_to_install_itself(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    clf = classifier().fit(*trials())
    for call in (
        lambda: clf.push_to_hub("me/clf"),
        lambda: skeeg.from_pretrained("me/clf"),
        lambda: network().push_to_hub("me/net"),
        lambda: SincShallowNet.from_pretrained("me/net"),
    ):
        with pytest.raises(ImportError, match=r"pip install 'skeeg\[hub\]'"):
            call()

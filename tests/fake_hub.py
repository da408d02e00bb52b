"""The Hugging Face Hub, with repositories as local directories."""

from pathlib import Path


class FakeHub:
    """Takes the place of the two functions of huggingface_hub that talk to the network."""

    def __init__(self, root):
        self.root = root

    def install(self, monkeypatch):
        hub = self

        class HfApi:
            def __init__(self, token=None):
                hub.token = token

            def create_repo(self, repo_id, private=None, exist_ok=False):
                (hub.root / repo_id).mkdir(parents=True, exist_ok=exist_ok)
                hub.private = private
                return type("RepoUrl", (), {"repo_id": repo_id})

            def upload_folder(self, repo_id, folder_path, commit_message):
                for path in Path(folder_path).iterdir():
                    (hub.root / repo_id / path.name).write_bytes(path.read_bytes())
                return type("CommitInfo", (), {"commit_url": f"https://hub/{repo_id}/commit/1"})

        def hf_hub_download(repo_id, filename, revision=None, token=None, cache_dir=None):
            hub.revision = revision
            return str(hub.root / repo_id / filename)

        monkeypatch.setattr("huggingface_hub.HfApi", HfApi)
        monkeypatch.setattr("huggingface_hub.hf_hub_download", hf_hub_download)
        return self

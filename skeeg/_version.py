"""The version, as pyproject.toml and files read it."""

__version__ = "0.1.0"

"""The baseline of every request: hello-world Flask."""

from __future__ import annotations

from flask import Flask

application = Flask("hello", static_folder=None)


@application.get("/")
def hello() -> str:
    """Say it."""
    return "Hello, world"

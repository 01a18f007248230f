"""The baseline of every request: hello-world Flask, with the gunicorn settings of the facade."""

from __future__ import annotations

from flask import Flask

workers = 2
threads = 8
worker_class = "gthread"
keepalive = 75
worker_tmp_dir = "/dev/shm"
control_socket_disable = True

application = Flask("hello", static_folder=None)


@application.get("/")
def say_hello() -> str:
    """Say it."""
    return "Hello, world"

"""An emulator of the QUBS Integrations API (v1), held to ``openapi.yaml`` beside this file.

``python -m sandbox.qubs --port 9001`` serves it; :mod:`sandbox.qubs.server` runs it in a thread;
:mod:`sandbox.qubs.control` is the typed client of its control API (``/_control/...``), which is
no part of QUBS.
"""

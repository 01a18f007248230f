"""The facade with the demo's pages beside it: what `make demo` runs under gunicorn."""

import os
from pathlib import Path

from fhir_facade.app import build, create_app
from fhir_facade.settings import load
from sandbox.demo.ehr import DemoPages
from sandbox.demo.state import DemoPaths

settings = load()
facade = build(settings)
application = create_app(facade=facade)
application.register_blueprint(
    DemoPages(
        facade.auth,
        facade.auth_store,
        DemoPaths(Path(os.environ["DEMO_STATE"])),
        settings.public_url,
    ).blueprint()
)

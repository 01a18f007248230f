"""The `fhir-facade` command. Each group of commands lives in a module of its own; parts are built
inside the functions.
"""

from fhir_facade.cli.main import main

__all__ = ["main"]

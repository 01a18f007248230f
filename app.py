"""For `flask --app app`: re-exports the factory."""

from fhir_facade.app import create_app

__all__ = ["create_app"]

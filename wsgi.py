"""The application for gunicorn: `gunicorn -c gunicorn.conf.py wsgi:application`."""

from fhir_facade.app import create_app

application = create_app()

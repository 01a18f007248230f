"""gunicorn's settings, all from `FACADE_` variables.

Use: `gunicorn -c gunicorn.conf.py wsgi:application`.
"""

from fhir_facade.serving import gunicorn_settings

globals().update(gunicorn_settings())

"""The two gates: `fast_check` for every resource that is published, `deep_check` for incoming
bodies and tests. Importing this loads neither fhir.resources nor a schema.
"""

from __future__ import annotations

from fhir_facade.fhir.validation.deep import deep_check
from fhir_facade.fhir.validation.fast import Validator, fast_check
from fhir_facade.fhir.validation.problems import Problem
from fhir_facade.fhir.validation.types import FAST_TYPES

__all__ = ["FAST_TYPES", "Problem", "Validator", "deep_check", "fast_check"]

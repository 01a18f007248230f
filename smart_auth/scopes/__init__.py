"""SMART scopes as values: the only place that reads or writes a scope string."""

from smart_auth.scopes.scope import GRANULAR_TYPES, LETTERS, Category, Letter, Level, Scope
from smart_auth.scopes.scope_set import SPECIAL_SCOPES, ScopeSet

__all__ = [
    "GRANULAR_TYPES",
    "LETTERS",
    "SPECIAL_SCOPES",
    "Category",
    "Letter",
    "Level",
    "Scope",
    "ScopeSet",
]

"""Clients of the upstream systems, one module each. The only room that speaks HTTP to them; knows
no FHIR.
"""

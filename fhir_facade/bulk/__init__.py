"""Bulk Data export (HL7 Bulk Data Access 2.0): kick-off, plan, leased parts, files, manifest,
cancel.
"""

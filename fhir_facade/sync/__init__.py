"""Pulling from upstreams into the mirror: records first, then mapping, validation and publishing.

`job.qubs_job` and `job.open_stores` say what to sync and where to; `runner` runs it.
"""

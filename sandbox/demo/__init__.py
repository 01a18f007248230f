"""The demo: two tenants on an emulated QUBS, a demo EHR, a sample SMART app, and a check of the
main job.
"""

"""Faithful emulators of the upstream systems, with synthetic data, for tests and the demo."""

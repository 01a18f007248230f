"""What `make bench` runs: CPU per unit, each as a ratio to a baseline of the same run.

Every figure comes from real processes on SQLite. The machine is shared more often than not, so what
counts is CPU time (user and system), measured in interleaved rounds, and the median of the ratios
of each round. Wall time is used for latencies only. Linux only: /proc is read.
"""

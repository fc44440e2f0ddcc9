"""Benchmarks: `python -m benchmarks --name NAME --size small|full`; each figure beside a yardstick of the same run."""

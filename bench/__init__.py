"""Benchmarks: each script here is run by `./dev bench NAME`."""

"""The compiled core: rings, threads, kernels. It knows bytes and counters, never meaning."""

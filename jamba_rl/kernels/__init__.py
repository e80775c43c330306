"""Compiled CPU kernels: the C sources, their build, and one module for each that calls them for autograd."""

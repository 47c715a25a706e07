"""Builds what a config asks for and runs it: the only package that sees arch, data, loss, metric and optimizer."""

from ppcls.engine.engine import Engine

__all__ = ["Engine"]

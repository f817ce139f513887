"""Confusion matrices, measures of accuracy, their intervals and tables."""

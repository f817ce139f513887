"""Small vector databases, and what burns them."""

from small_vectors import like, rules, write_layer

__all__ = ["like", "rules", "write_layer"]

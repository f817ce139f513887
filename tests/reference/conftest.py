"""Small vector databases, images and rules to burn."""

from small_vectors import like, rules, write_layer

__all__ = ["like", "rules", "write_layer"]

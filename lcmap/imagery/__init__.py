"""Images of one or more sensors brought onto one grid."""

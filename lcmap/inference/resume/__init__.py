"""A map in the making, so that a run that was killed can be continued."""

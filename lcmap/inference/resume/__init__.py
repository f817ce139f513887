"""A map that is being made, so that a run that was killed can be continued."""

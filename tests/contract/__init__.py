"""The contract as it was published, and whether a change breaks it."""

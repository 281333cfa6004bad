"""How far a restoration can be trusted: intervals, warnings, the verdict."""

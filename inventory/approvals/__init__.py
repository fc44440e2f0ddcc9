"""Two people: one proposes an act, another decides, and only then is it done."""

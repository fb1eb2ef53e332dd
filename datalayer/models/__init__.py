"""Models: what users subclass, how they ask for rows, and how rows become instances."""

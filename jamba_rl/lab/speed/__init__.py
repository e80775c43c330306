"""How fast things are: the core (``core``) against what others wrote, and training (``training``)."""

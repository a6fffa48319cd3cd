"""How fast the library is, next to its peers, on one and the same problem."""

"""The other ways to solve the problem: public packages, and the yardsticks between them."""

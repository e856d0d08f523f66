"""Message catalogues, one gettext domain a room of the house; ``make locale`` compiles them."""

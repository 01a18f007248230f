"""Values of search parameters: one file per parameter type (R4 search.html#ptypes)."""

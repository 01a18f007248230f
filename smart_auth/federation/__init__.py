"""Logging in with an account at an external OpenID provider (OpenID Connect Core 1.0, code flow).

`directory` reads what a provider says of itself, `exchange` speaks to it, `id_token` judges its
word, `people` finds whom it means here, `flow` puts these together without pages.
"""

"""The token, introspection and revocation endpoints, on Authlib's grants. Knows no pages."""

"""The HTTP operations of the emulator; endpoint names are the operation ids of ``openapi.yaml``."""

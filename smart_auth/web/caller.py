"""Whom the limits count."""

from __future__ import annotations

from ipaddress import IPv6Network, ip_address

from flask import request


def caller_address() -> str:
    """The address behind the request. Of IPv6 it is the network of 64 bits: whoever has one
    address of it has them all, and would be a new caller with each."""
    given = request.remote_addr or ""
    try:
        address = ip_address(given.partition("%")[0])
    except ValueError:
        return given
    if address.version == 4:
        return str(address)
    return str(address.ipv4_mapped or IPv6Network((address, 64), strict=False))

"""The SMART style document (`smart_style_url`). A changed style gets a new URL, as SMART asks."""

from __future__ import annotations

import hashlib
import json

from smart_auth.ports import TenantInfo

STYLE = {
    "color_background": "#f6f8fa",
    "color_error": "#a4262c",
    "color_highlight": "#0b5cad",
    "color_modal_backdrop": "#1b2733",
    "color_success": "#1f6f43",
    "color_text": "#1b2733",
    "dim_border_radius": "6px",
    "dim_font_size": "16px",
    "dim_spacing_size": "16px",
    "font_family_body": "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
    "font_family_heading": "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
}

STYLE_BODY = json.dumps(STYLE, indent=1)
STYLE_VERSION = hashlib.sha256(STYLE_BODY.encode()).hexdigest()[:12]


def style_url(tenant: TenantInfo) -> str:
    """Where this style document is, absolute."""
    return f"{tenant.issuer}/auth/style.json?v={STYLE_VERSION}"

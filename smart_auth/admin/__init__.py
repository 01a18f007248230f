"""What administrators do to users, apps and keys, for the pages, the command line and the demo.

Nothing here keeps an audit row: whoever calls knows who acts, and says so.
"""

from smart_auth.admin.clients import (
    OPERATOR,
    PAUSED_BY,
    ChangedSince,
    CreatedClient,
    approve_client,
    change_client,
    create_client,
    deactivate_client,
    delete_client,
    list_clients,
    new_client_secret,
)
from smart_auth.admin.factors import (
    end_sessions,
    factor_of,
    give_pin,
    give_totp,
    reset_factor,
)
from smart_auth.admin.federation import link_identity, list_identities, unlink_identity
from smart_auth.admin.grants import end_grant, end_grants
from smart_auth.admin.keys import KEY_OVERLAP, create_tenant_keys, rotate_keys
from smart_auth.admin.users import (
    change_user,
    check_new_password,
    create_user,
    delete_user,
    list_users,
    set_password,
    shortest_password,
)
from smart_auth.client_metadata import InvalidClientMetadata

__all__ = [
    "KEY_OVERLAP",
    "OPERATOR",
    "PAUSED_BY",
    "ChangedSince",
    "CreatedClient",
    "InvalidClientMetadata",
    "approve_client",
    "change_client",
    "change_user",
    "check_new_password",
    "create_client",
    "create_tenant_keys",
    "create_user",
    "deactivate_client",
    "delete_client",
    "delete_user",
    "end_grant",
    "end_grants",
    "end_sessions",
    "factor_of",
    "give_pin",
    "give_totp",
    "link_identity",
    "list_clients",
    "list_identities",
    "list_users",
    "new_client_secret",
    "reset_factor",
    "rotate_keys",
    "set_password",
    "shortest_password",
    "unlink_identity",
]

"""What cannot be seen of drivers, said by options: ours for those of libcloud, yours for any."""

from collections.abc import Mapping

OPTIONS = frozenset(
    {
        "user_data_as",
        "user_data_form",
        "tags_as",
        "tags_form",
        "token_as",
        "first_contact",
        "image_by",
        "ports_open",
        "ssh_port",
        "lag",
    }
)
"""Of the Cloud manifest, for us; all others are the driver's."""
KNOWN: Mapping[str, Mapping[str, object]] = {
    "azure_arm": {"user_data_form": "bytes", "tags_form": "table", "image_by": "get_image"},
    "digitalocean": {
        "tags_as": "ex_create_attr.tags",
        "tags_form": "labels",
        "ports_open": True,
    },
    "gce": {
        "user_data_as": "ex_metadata.user-data",
        "tags_form": "dashed",
        "image_by": "ex_get_image",
    },
    "linode": {"ports_open": True},
    "qemu": {"ports_open": True, "lag": 0},
    "vultr": {"ports_open": True},
}
"""By libcloud's type of the driver: options that say what cannot be seen of it.

Nothing stands before the ports of some.
"""

"""The disk from which cloud-init learns who it is: NoCloud, an ISO 9660 file system."""

import io
import json
from pathlib import Path

LABEL = "cidata"
NETWORK = "10.77.0.0/16"


def address_of(number: int) -> str:
    """Where the machines of this host reach the one of this number."""
    return f"10.77.{number // 250}.{number % 250 + 2}"


def macs_of(number: int) -> tuple[str, str]:
    """Of its two network cards: to the outside, and to the other machines."""
    low = f"{number >> 8 & 255:02x}:{number & 255:02x}"
    return f"52:54:00:77:{low}", f"52:54:00:78:{low}"


def files(id: str, name: str, number: int, user_data: str) -> dict[str, str]:
    """JSON is YAML too."""
    outside, inside = macs_of(number)
    network = {
        "version": 2,
        "ethernets": {
            "outside": {"match": {"macaddress": outside}, "dhcp4": True},
            "inside": {
                "match": {"macaddress": inside},
                "addresses": [f"{address_of(number)}/16"],
            },
        },
    }
    return {
        "meta-data": json.dumps({"instance-id": id, "local-hostname": name}) + "\n",
        "user-data": user_data,
        "network-config": json.dumps(network) + "\n",
    }


def write(file: Path, content: dict[str, str]) -> None:
    """Readable by us alone: a host key is in it. Raises ImportError without pycdlib."""
    import pycdlib  # noqa: PLC0415  # of the extra `qemu`

    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, vol_ident=LABEL, joliet=3, rock_ridge="1.09")
    for place, (name, text) in enumerate(content.items()):
        raw = text.encode()
        iso.add_fp(
            io.BytesIO(raw),
            len(raw),
            f"/FILE{place}.;1",
            rr_name=name,
            joliet_path=f"/{name}",
        )
    file.touch(mode=0o600)
    with file.open("wb") as out:
        iso.write_fp(out)
    iso.close()

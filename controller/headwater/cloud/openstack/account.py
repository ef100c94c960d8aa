"""What the threads of one OpenStack account share."""

from headwater.cloud.groups import Groups
from headwater.cloud.hostkeys import HostKeys
from headwater.cloud.openstack.addresses import Addresses
from headwater.cloud.openstack.flavors import Flavors
from headwater.cloud.openstack.networks import Networks
from headwater.cloud.openstack.options import Options
from headwater.cloud.openstack.session import Session
from headwater.cloud.openstack.zones import Zones


class OpenStackAccount:
    def __init__(self, cloud: str, installation: str, keys: HostKeys, options: Options) -> None:
        self.cloud = cloud
        self.installation = installation
        self.keys = keys
        self.options = options
        self.session = Session(cloud, options)
        self.groups = Groups(installation, f"{options.ssh_port}/tcp")
        self.networks = Networks(cloud)
        mark = f"headwater {installation} {cloud}"
        self.addresses = Addresses(mark, options.floating_network, self.networks)
        self.flavors = Flavors()
        self.zones = Zones()
        self.ended = False
        """Machines have been ended: what they used may be unused now."""

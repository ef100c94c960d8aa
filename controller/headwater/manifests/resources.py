"""The resources that this version knows."""

from collections.abc import Mapping

from headwater.manifests.cloud import Cloud
from headwater.manifests.component import Component
from headwater.manifests.deployment import Deployment
from headwater.manifests.image import Image
from headwater.manifests.sets import DeploymentSet

Resource = Deployment | Component | Image | Cloud | DeploymentSet

KINDS: Mapping[str, type[Resource]] = {
    kind.__name__: kind for kind in (Deployment, Component, Image, Cloud, DeploymentSet)
}

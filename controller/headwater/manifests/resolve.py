"""One deployment with every reference followed, or all that is wrong with it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date

from headwater.manifests.bindings import check_reference, defaults, fitted, typed
from headwater.manifests.cloud import Cloud
from headwater.manifests.component import Size
from headwater.manifests.deployment import MOST, Deployment, DeploymentSpec, Node
from headwater.manifests.image import Image
from headwater.manifests.index import Defined, Index, Unresolved
from headwater.manifests.inheritance import Components, FlatComponent
from headwater.manifests.positions import Key
from headwater.manifests.quantities import seconds, size_bytes
from headwater.manifests.references import exists_by_itself
from headwater.manifests.resolved import (
    Binding,
    Diagnostic,
    Encrypted,
    Keep,
    Reference,
    ResolvedDeployment,
    ResolvedImage,
    ResolvedNode,
    Secret,
    Update,
)
from headwater.manifests.resolved import Size as ResolvedSize
from headwater.manifests.secrets import encrypted
from headwater.manifests.snapshot import File
from headwater.manifests.suggestions import did_you_mean
from headwater.manifests.volumes import mounted

LOCAL_DRIVER = "local"
HOST_IMAGE = "host"
"""The embedded cloud starts every machine from what the host itself is."""


class Resolution:
    """The following of one deployment's references; `diagnostics` tell what leads nowhere."""

    def __init__(
        self,
        deployment: Defined[Deployment],
        index: Index,
        components: Components,
        files: Mapping[str, File],
        today: date | None,
    ) -> None:
        self._definition = deployment.definition
        self._spec = deployment.resource.spec
        self._labels = deployment.resource.metadata.labels
        self._index = index
        self._components = components
        self._files = files
        self._today = today
        self._flat: dict[str, FlatComponent] = {}
        self.diagnostics: list[Diagnostic] = []

    def resolve(self) -> ResolvedDeployment | None:
        spec = self._spec
        for name, node in spec.nodes.items():
            with self._at("spec", "nodes", name, "component"):
                self._flat[name] = self._components.get(node.component)
        nodes = {name: self._node(name, node) for name, node in spec.nodes.items()}
        encrypted = self._encrypted()
        self._check_order()
        self._check_replicas()
        self._check_lifecycle()
        if self.diagnostics:
            return None
        return ResolvedDeployment(
            name=self._definition.name,
            path=self._definition.path,
            description=spec.description,
            labels=self._labels,
            lifecycle=spec.lifecycle,
            nodes={name: node for name, node in nodes.items() if node},
            encrypted=encrypted,
            depends_on=spec.depends_on,
            provision_timeout=seconds(spec.timeouts.provision),
            execute_timeout=seconds(spec.timeouts.execute),
            report_timeout=seconds(spec.timeouts.report),
            update=Update(
                max_unavailable=spec.update.max_unavailable,
                max_surge=spec.update.max_surge,
                on_recipe_change=spec.update.on_recipe_change,
                order=spec.update.order,
                on_failure=spec.update.on_failure,
            ),
            deletion_policy=spec.safety.deletion_policy,
            protect=spec.safety.protect,
            max_deletes=spec.safety.max_deletes,
            keep=_keep(spec),
            ttl=seconds(spec.ttl) if spec.ttl else None,
        )

    def _node(self, name: str, node: Node) -> ResolvedNode | None:
        clouds = self._clouds(name, node)
        self._check_skip(name, node)
        for key, binding in node.inputs.items():
            if isinstance(binding, Reference):
                with self._at("spec", "nodes", name, "inputs", key):
                    self._check_reference(binding)
        if (flat := self._flat.get(name)) is None:
            return None
        return ResolvedNode(
            name=name,
            component=node.component,
            replicas=node.replicas,
            clouds=clouds,
            images=self._images(name, flat, [cloud for cloud, _ in clouds]),
            size=_size(flat.size),
            sizes=self._sizes(flat, [cloud for cloud, _ in clouds]),
            public=flat.network.public,
            open=flat.network.open,
            packages=flat.packages,
            ssh_keys=flat.ssh_keys,
            recipes=flat.recipes,
            inputs=self._inputs(name, node, flat),
            outputs=tuple(flat.outputs),
            types=typed(flat),
            skip=frozenset(node.skip),
            tolerate_failures=node.tolerate_failures,
            health=flat.health,
            volumes=mounted(flat),
        )

    def _check_lifecycle(self) -> None:
        spec, place = self._spec, ("spec", "keep")
        if spec.lifecycle != "test" and spec.keep is not None:
            words = "'keep' is for what ends, and this deployment is a service"
            self._refuse(place, words, "write lifecycle = \"test\", or 'ttl' for a service's end")
        if spec.keep and spec.keep.policy == "never" and spec.keep.for_ is not None:
            words = "'for' says how long machines are kept, and 'policy' is \"never\""
            self._refuse((*place, "for"), words)
        if spec.lifecycle == "test" and spec.update.on_failure == "rollback":
            words = "a test has no revision to go back to: it runs, and ends"
            self._refuse(("spec", "update", "onFailure"), words)

    def _check_replicas(self) -> None:
        total = sum(node.replicas for node in self._spec.nodes.values())
        if total > MOST:
            words = f"its nodes have {total} replicas together; at most {MOST}"
            self._refuse(("spec", "nodes"), words, "make it several deployments")

    def _clouds(self, name: str, node: Node) -> tuple[tuple[str, int], ...]:
        place = ("spec", "nodes", name)
        if node.spread is None:
            if (cloud := node.cloud or self._spec.cloud) is None:
                self._refuse(place, f"node '{name}' has no cloud", "write 'cloud' in [spec]")
                return ()
            return ((cloud, node.replicas),)
        total = sum(node.spread.values())
        if node.cloud is not None:
            self._refuse((*place, "cloud"), f"node '{name}' has both 'cloud' and 'spread'")
        if total != node.replicas:
            words = f"'spread' adds up to {total}, and 'replicas' is {node.replicas}"
            self._refuse((*place, "spread"), words)
        return tuple(node.spread.items())

    def _images(
        self, name: str, flat: FlatComponent, clouds: list[str]
    ) -> Mapping[str, ResolvedImage]:
        node = self._spec.nodes[name]
        spread = ("spec", "nodes", name, "spread")
        only = ("spec", "nodes", name, "cloud") if node.cloud else ("spec", "cloud")
        images = {}
        for cloud in clouds:
            driver = None
            with self._at(*((*spread, cloud) if node.spread else only)):
                driver = self._index.get(Cloud, cloud).resource.spec.driver
            with self._at("spec", "nodes", name, "component"):
                if flat.image is None:
                    raise Unresolved(f"component '{flat.name}' names no image")
                image = self._index.get(Image, flat.image)
                self._check_image(image)
                if driver:
                    images[cloud] = _image(image, cloud, driver)
        return images

    def _sizes(self, flat: FlatComponent, clouds: list[str]) -> Mapping[str, ResolvedSize]:
        """What the clouds call it, where they say so."""
        names = {}
        for cloud in clouds if flat.size.name else ():
            with suppress(Unresolved):  # told where the images are resolved
                known = self._index.get(Cloud, cloud).resource.spec.sizes
                if flat.size.name in known:
                    names[cloud] = ResolvedSize(name=known[flat.size.name])
        return names

    def _check_image(self, image: Defined[Image]) -> None:
        spec = image.resource.spec
        if spec.deprecated:
            words = f"image '{image.name}' is deprecated: {spec.deprecated}"
            raise Unresolved(words, f"see {image.definition.path}")
        if spec.valid_until and self._today and self._today > spec.valid_until:
            words = f"image '{image.name}' was valid until {spec.valid_until}"
            raise Unresolved(words, f"see {image.definition.path}")

    def _inputs(self, name: str, node: Node, flat: FlatComponent) -> dict[str, Binding | None]:
        place = ("spec", "nodes", name, "inputs")
        for key in node.inputs.keys() - flat.inputs.keys():
            words = f"component '{flat.name}' has no input '{key}'"
            self._refuse((*place, key), words, did_you_mean(key, flat.inputs))
        for key, declared in flat.inputs.items():
            if declared.required and key not in node.inputs:
                words = f"node '{name}' does not bind the required input '{key}'"
                self._refuse(place, words, f"of component '{flat.name}'")
        bound: dict[str, Binding | None] = {}
        with self._at("spec", "nodes", name, "component"):
            bound = defaults(flat)
        for key, binding in node.inputs.items():
            if key in flat.inputs:
                with self._at(*place, key):
                    bound[key] = self._fitted(flat, key, binding)
        return bound

    def _fitted(self, flat: FlatComponent, key: str, binding: Binding) -> Binding:
        source = self._flat.get(binding.node) if isinstance(binding, Reference) else None
        if isinstance(binding, Reference) and source is not None:
            check_reference(binding, source, flat, key)
        return fitted(flat, key, binding)

    def _encrypted(self) -> dict[str, Encrypted]:
        """The secrets that lie beside the manifest; others are the controller's to have."""
        found: dict[str, Encrypted] = {}
        for name, node in self._spec.nodes.items():
            for key, binding in node.inputs.items():
                if isinstance(binding, Secret):
                    with self._at("spec", "nodes", name, "inputs", key):
                        file = encrypted(self._definition.path, binding.name, self._files)
                        found |= {binding.name: file} if file else {}
        return found

    def _check_reference(self, reference: Reference) -> None:
        nodes = self._spec.nodes
        if (node := nodes.get(reference.node)) is None:
            hint = did_you_mean(reference.node, nodes)
            raise Unresolved(f"no node '{reference.node}' in this deployment", hint)
        flat, index = self._flat.get(reference.node), reference.index
        if flat and reference.output not in flat.outputs and not exists_by_itself(reference.output):
            words = f"component '{flat.name}' has no output '{reference.output}'"
            hint = did_you_mean(
                reference.output, (*flat.outputs, "hostname", "instanceId", "state")
            )
            raise Unresolved(words, hint)
        if index is not None and (index > node.replicas or index in node.skip):
            raise Unresolved(
                f"there is no '{reference.node}.{index}'",
                f"node '{reference.node}' has {node.replicas} replicas, skip = {list(node.skip)}",
            )

    def _check_skip(self, name: str, node: Node) -> None:
        place = ("spec", "nodes", name, "skip")
        for position, (index, count) in enumerate(Counter(node.skip).items()):
            if index > node.replicas:
                words = f"there is no '{name}.{index}' to skip: 'replicas' is {node.replicas}"
                self._refuse((*place, position), words)
            if count > 1:
                self._refuse(place, f"'skip' names {index} more than once")

    def _check_order(self) -> None:
        place = ("spec", "update", "order")
        for position, name in enumerate(self._spec.update.order):
            if name not in self._spec.nodes:
                hint = did_you_mean(name, self._spec.nodes)
                self._refuse((*place, position), f"no node '{name}' in this deployment", hint)
            elif name in self._spec.update.order[:position]:
                self._refuse((*place, position), f"'order' names '{name}' more than once")

    @contextmanager
    def _at(self, *path: Key) -> Iterator[None]:
        """What is unresolved inside stands at this key."""
        try:
            yield
        except Unresolved as unresolved:
            self._refuse(path, unresolved.message, unresolved.hint)

    def _refuse(self, path: tuple[Key, ...], message: str, hint: str = "") -> None:
        self.diagnostics.append(self._definition.diagnose(path, message, hint))


def _keep(spec: DeploymentSpec) -> Keep:
    if spec.keep is None:
        return Keep()
    return Keep(spec.keep.policy, seconds(spec.keep.for_) if spec.keep.for_ else None)


def _image(image: Defined[Image], cloud: str, driver: str) -> ResolvedImage:
    spec = image.resource.spec
    id = spec.ids.get(cloud, HOST_IMAGE if driver == LOCAL_DRIVER else None)
    if id is None:
        words = f"image '{image.name}' has no id at cloud '{cloud}'"
        raise Unresolved(words, f"write it under 'ids' in {image.definition.path}")
    return ResolvedImage(image.name, id, spec.login_user, spec.platform)


def _size(size: Size) -> ResolvedSize:
    return ResolvedSize(
        cpus=size.cpus,
        memory=size_bytes(size.memory) if size.memory else None,
        disk=size_bytes(size.disk) if size.disk else None,
        name=size.name,
    )

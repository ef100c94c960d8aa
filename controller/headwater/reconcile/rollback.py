"""Going back to the last good revision of a deployment, once (`spec.update.onFailure`)."""

from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from headwater.manifests.resolved import ResolvedDeployment
from headwater.reconcile.ledger import Ledger
from headwater.reconcile.wanted import Wanted
from headwater.topology.desired import Desired

_RESOLVED = TypeAdapter(ResolvedDeployment)


@dataclass(frozen=True, slots=True)
class Back:
    """Why a deployment is not what the branch says."""

    failed: str
    """The digest of what failed; another manifest ends the rollback."""
    revision: str
    """Where it went back to."""
    reason: str


_BACK = TypeAdapter(Back)


class Rollback:
    def __init__(self, ledger: Ledger, wanted: Wanted) -> None:
        self._ledger = ledger
        self._wanted = wanted
        self._good: dict[str, tuple[str, Desired]] = {}

    def desired(self, name: str) -> Desired | None:
        """What to bring about: what the branch says, or the last good one where that failed."""
        desired = self._wanted.desired(name)
        back = self.back(name)
        if desired is None or back is None:
            return desired
        good = self._last_good(name)
        if good is None or back.failed != desired.digest:
            self.end(name)
            return desired
        return good[1]

    def back(self, name: str) -> Back | None:
        note = self._ledger.note(f"rollback/{name}")
        try:
            return None if note is None else _BACK.validate_python(note)
        except ValidationError:
            return None

    def succeeded(self, name: str, revision: str) -> None:
        """What the branch says of the deployment is good: the place to go back to."""
        resolved, desired = self._wanted.resolved(name), self._wanted.desired(name)
        if resolved is None or desired is None or self.back(name) is not None:
            return
        known = self._last_good(name)
        if known is None or known[1].digest != desired.digest:
            self._good[name] = (revision, desired)
            content = {
                "revision": revision,
                "manifest": _RESOLVED.dump_python(resolved, mode="json"),
            }
            self._ledger.set_note(f"good/{name}", content)

    def failed(self, name: str, reason: str) -> Back | None:
        """Go back, if the manifest says so and there is somewhere to go that has not failed too."""
        desired, good = self._wanted.desired(name), self._last_good(name)
        if desired is None or good is None or desired.update.on_failure != "rollback":
            return None
        if self.back(name) is not None or good[1].digest == desired.digest:
            return None
        back = Back(desired.digest, good[0], reason)
        self._ledger.set_note(f"rollback/{name}", _BACK.dump_python(back, mode="json"))
        return back

    def end(self, name: str) -> None:
        """Another manifest, or a person who tries again."""
        self._ledger.set_note(f"rollback/{name}", None)

    def forget(self, name: str) -> None:
        self._good.pop(name, None)
        self._ledger.set_note(f"good/{name}", None)
        self.end(name)

    def _last_good(self, name: str) -> tuple[str, Desired] | None:
        if name not in self._good:
            note = self._ledger.note(f"good/{name}")
            if not isinstance(note, dict):
                return None
            try:
                resolved = _RESOLVED.validate_python(note.get("manifest"))
            except ValidationError:
                return None
            self._good[name] = (str(note.get("revision", "")), self._wanted.expand(resolved))
        return self._good[name]

"""Reads over all instances of a node: `headwater-get-all`, and the machine file of a cluster."""

import os

from headwater_agent.verbs import OK, REFUSED, UNEQUAL, Exit, Question, deadline_of, hosts

AT_A_TIME = 64
"""Questions that wait together: the daemon has a descriptor for each."""


def get_all(node: bytes, key: bytes, options: "dict[str, str]") -> "tuple[int, str, bytes]":
    """A line `NODE.N:KEY VALUE` for every instance; with --value only when one is another."""
    immediate = {name: "" for name in options if name == "ignore-abort"}
    [(_, ids)] = _read([node + b":ids"], immediate)
    keys = [b"%s.%s:%s" % (node, index, key) for index in ids.split(b",") if index]
    found = _read(keys, options)
    table = b"".join(b"%s %s\n" % pair for pair in found)
    if "value" not in options:
        return OK, "", table
    if all(value == os.fsencode(options["value"]) for _, value in found):
        return OK, "", b""
    return UNEQUAL, "not all of them are %r" % options["value"], table


def machine_file(node: bytes, options: "dict[str, str]") -> "tuple[int, str, bytes]":
    """A line `ADDRESS` or `ADDRESS slots=N` for every host of the node, or of the deployment."""
    addresses = {}
    for line in hosts().splitlines():
        address, _, instance = line.split()[:3]
        if node in (b"", instance.rpartition(b".")[0]):
            addresses[instance] = address
    if "slots" not in options:
        return OK, "", b"".join(b"%s\n" % address for address in addresses.values())
    name = os.fsencode(options["slots"])
    lines = []
    for key, slots in _read([b"%s:%s" % (instance, name) for instance in addresses], options):
        if not (slots.isdigit() and int(slots)):
            words = "%s is %r, which is no number of slots"
            raise Exit(REFUSED, words % (os.fsdecode(key), os.fsdecode(slots)))
        lines.append(b"%s slots=%s\n" % (addresses[key.partition(b":")[0]], slots))
    return OK, "", b"".join(lines)


def _read(keys: "list[bytes]", options: "dict[str, str]") -> "list[tuple[bytes, bytes]]":
    """Keys with their values, which are waited for together. Raises Exit for the first refusal."""
    found = []
    deadline = deadline_of(options)
    for start in range(0, len(keys), AT_A_TIME):
        some = keys[start : start + AT_A_TIME]
        asked = [(key, Question("get", key, b"", options, deadline)) for key in some]
        for key, question in asked:
            code, words, value = question.answer()
            if code != OK:
                raise Exit(code, words)
            found.append((key, value))
    return found

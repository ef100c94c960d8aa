#!/usr/bin/env python3
"""Send this machine's configuration, and what a look at the system finds, as JUnit XML."""

import os
import shutil
import subprocess
from urllib.request import ProxyHandler, build_opener
from xml.etree import ElementTree as ET

CONFIGURATION = os.path.expanduser("~/scm_configuration/SDCF_MICONYS.xml")
REPORT = os.environ["HEADWATER_REPORT_DIR"]
MACHINES = ("prime", "backup", "client")


def get(key):
    """A parameter; empty while it is not set, also in a run that is aborted."""
    command = ["ss-get", "--noblock", "--ignore-abort", key]
    return subprocess.check_output(command).decode().strip()


def address_of(machine):
    return get("hostname" if machine == get("nodetype") else machine + ".hostname")


def known_hosts():
    """Addresses by short name."""
    with open(os.environ["HEADWATER_HOSTS"]) as file:
        lines = [line.split() for line in file if line.strip() and not line.startswith("#")]
    return {name: line[0] for line in lines for name in line[1:]}


def configured():
    """(host, port) by role; the client has no port."""
    servers = ET.parse(CONFIGURATION).getroot()
    return {e.get("role", e.tag): (e.get("host"), e.get("port")) for e in servers}


def names_all_three_machines():
    hosts = known_hosts()
    found = {role: hosts.get(host) for role, (host, _) in configured().items()}
    wanted = {machine: address_of(machine) for machine in MACHINES}
    assert found == wanted, "%s, and the machines are %s" % (found, wanted)


def is_of_the_snapshot_that_was_asked_for():
    found = ET.parse(CONFIGURATION).getroot().get("snapshot")
    assert found == get("snapshot"), found


def answers(role):
    """The server has the same configuration as this machine."""
    host, port = configured()[role]
    url = "http://%s:%s/SDCF_MICONYS.xml" % (known_hosts()[host], port)
    with open(CONFIGURATION, "rb") as file:
        own = file.read()
    told = build_opener(ProxyHandler({})).open(url, timeout=10).read()
    assert told == own, "%s says %r" % (url, told)


CHECKS = {
    "the configuration names all three machines": names_all_three_machines,
    "it is of the snapshot that was asked for": is_of_the_snapshot_that_was_asked_for,
    "prime answers on its port": lambda: answers("prime"),
    "backup answers on its port": lambda: answers("backup"),
}


def main():
    suite = ET.Element("testsuite", name="mission control", tests=str(len(CHECKS)))
    failures = 0
    for name, check in CHECKS.items():
        case = ET.SubElement(suite, "testcase", classname=get("nodetype"), name=name)
        try:
            check()
        except Exception as error:  # whatever it is, it is the finding
            failures += 1
            ET.SubElement(case, "failure", message="%s: %s" % (type(error).__name__, error))
        print("%s %s" % ("FAILED" if len(case) else "passed", name))
    suite.set("failures", str(failures))
    ET.ElementTree(suite).write(os.path.join(REPORT, "checks.xml"), "UTF-8")
    if os.path.exists(CONFIGURATION):
        shutil.copy(CONFIGURATION, REPORT)


main()

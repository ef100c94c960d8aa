"""Entry point on the machine: `attach ROOT DIGEST` or `verb ROOT NAME ARGUMENTS...`.

Written for any Python 3, so that an interpreter that is too old can say so itself.
"""

import sys


def main() -> None:
    if sys.version_info < (3, 6):
        sys.stdout.write("HEADWATER REFUSED no Python: needs 3.6, has " + sys.version[:6] + "\n")
        sys.exit(1)
    # Isolated mode (-I) leaves the script's own place out of the path.
    sys.path.insert(0, __file__.rpartition("/headwater_agent/")[0])
    if sys.argv[1] == "verb":
        from headwater_agent.verbs import main as act  # noqa: PLC0415  # each pays for its own
    else:
        from headwater_agent.attach import main as act  # noqa: PLC0415  # each pays for its own
    act(sys.argv[2:])


if __name__ == "__main__":
    main()

"""Why a driver is refused when planning, and what to do."""

from collections.abc import Iterable


def no_tags(name: str, arguments: Iterable[str]) -> str:
    return (
        f"driver {name} cannot carry tags: its create_node takes none of {', '.join(arguments)},"
        " and machines of ours could not be told from others; use another driver, or name the"
        " argument that its listing shows again (options tags_as, tags_form)"
    )


def no_contact(name: str) -> str:
    return (
        f"driver {name} leaves no way to know a new machine: it takes no user data, tells no host"
        " key and reads no console, and nobody is trusted at first sight; use another driver, or"
        " name the argument for user data (option user_data_as)"
    )


def no_login(name: str) -> str:
    return (
        f"driver {name} can give a machine neither user data nor a login key: nobody could log"
        " in; use another driver, or name the argument for user data (option user_data_as)"
    )

"""Which names of this server, and which other sites' pages, a request may give."""

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from bookcls.serving.refusals import RefusedError

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
VALID = re.compile(r"[\w.:\[\]%-]*", re.ASCII)


def find_names(host: str, hosts: list[str]) -> frozenset[str]:
    """Names by which a request may address the server, besides the address that it was sent to.

    Args:
        host: The address to listen on.
        hosts: Further names.
    """
    address = parse_address(host)
    own = set() if address is not None and address.is_unspecified else {host.lower()}
    return LOCAL | own | {name.lower() for name in hosts}


def check_host(headers: Mapping[str, str], names: frozenset[str], address: str) -> None:
    """Checks the headers Host and Origin.

    Args:
        headers: Of the request, in lower case.
        names: Accepted names.
        address: The address of this machine that the request was sent to; accepted as well.

    Raises:
        RefusedError: If the name is another, or the request comes from another site's page.
    """
    host = headers.get("host", "")
    try:
        if not VALID.fullmatch(host):
            raise ValueError(host)
        parsed = urlsplit(f"//{host}")
        name, _ = parsed.hostname or "", parsed.port
        origin = urlsplit(headers.get("origin", f"//{host}")).netloc
    except ValueError as error:
        raise RefusedError(400, "the header Host or Origin is not a valid address.") from error
    given = parse_address(name)
    if name not in names and (given is None or given != parse_address(address)):
        # A page elsewhere may give its own name this machine's address (DNS rebinding).
        raise RefusedError(
            421,
            f"this server does not accept requests to {name or 'an empty name'}; whoever runs it "
            "can allow a name with hosts=[NAME].",
        )
    if origin != host:
        raise RefusedError(403, "pages from other sites may not use this server.")


def parse_address(text: str) -> IPAddress | None:
    """An IP address without its zone, IPv4 where it is mapped to IPv6; None for a name."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def find_group(client: str) -> str:
    """What counts as one client: an IPv4 address, or the 2^64 addresses of an IPv6 network."""
    address = parse_address(client)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)

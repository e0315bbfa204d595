# SPDX-License-Identifier: Apache-2.0
"""Address ranges: written one way, and whether they let everybody in. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from ...errors import GceError


def normal_range(text: str, option: str = "source_ranges") -> str:
    """`203.0.113.7` and `203.0.113.7/32` are one range, written the second way.

    Raises:
        GceError: not an address range, or one with bits set behind its prefix, which would be
            another range than it looks like.
    """
    given = text.strip()
    try:
        network = ipaddress.ip_network(given)
    except ValueError:
        pass
    else:
        # 0.0.0.0/0 is everybody; this, which looks like it, is nobody.
        if network.prefixlen >= 8 and network.network_address.is_unspecified:
            raise GceError(
                f"{option} has '{text}', which no client's address is ever in.",
                reason="badRange",
                remedy="name the addresses that may come, as in 203.0.113.7/32.",
            )
        return str(network)
    try:
        corrected = ipaddress.ip_network(given, strict=False)
    except ValueError:
        raise GceError(
            f"{option} has '{text}', which is not an address range.",
            reason="badRange",
            remedy="write ranges as 203.0.113.7/32, 10.0.0.0/8 or 2001:db8::/32.",
        ) from None
    address = given.partition("/")[0]
    raise GceError(
        f"{option} has '{text}', whose address has bits set behind the first "
        f"{corrected.prefixlen}: the range that holds it is {corrected}, "
        f"{corrected.num_addresses} addresses.",
        reason="badRange",
        remedy=f"write {corrected} if all of it is meant, or {address}/{corrected.max_prefixlen} "
        "for that address alone.",
    )


def problems(texts: Iterable[str] | str, option: str = "source_ranges") -> list[str]:
    """What `normal_range` says of each that it refuses; a text in the place of a list is one."""
    if isinstance(texts, str):
        return [f"{option} is the text '{texts}', not a list. Next: write ['{texts}']."]
    found = []
    for text in texts:
        try:
            normal_range(str(text), option)
        except GceError as error:
            found.append(f"{error.message} Next: {error.remedy}")
    return found


def found_range(text: str) -> str:
    """A range that Google has, written one way."""
    return str(ipaddress.ip_network(text, strict=False))


def opens_world(ranges: Iterable[str]) -> bool:
    """Whether the ranges together let every IPv4 or every IPv6 address in."""
    networks = [ipaddress.ip_network(text, strict=False) for text in ranges]
    for version in (4, 6):
        same = [network for network in networks if network.version == version]
        if any(net.prefixlen == 0 for net in ipaddress.collapse_addresses(same)):  # type: ignore[type-var]
            return True
    return False


def next_free(wanted: str, taken: Iterable[str]) -> str | None:
    """`wanted`, or the next range of its size above it that overlaps none of `taken`.

    None where the address space ends first.
    """
    used = [ipaddress.IPv4Network(text) for text in taken]
    for one in _upwards(ipaddress.IPv4Network(wanted)):
        if not any(one.overlaps(other) for other in used):
            return str(one)
    return None


def block(first: str, number: int) -> str:
    """The range of the same size that comes `number` places above `first`."""
    start = ipaddress.IPv4Network(first)
    address = int(start.network_address) + number * start.num_addresses
    return str(ipaddress.IPv4Network((address, start.prefixlen)))


def _upwards(first: ipaddress.IPv4Network) -> Iterator[ipaddress.IPv4Network]:
    address = int(first.network_address)
    # 4096 steps of the usual /20 are a whole /8, which is further than anybody plans.
    for _ in range(4096):
        if address + first.num_addresses > 2**32:
            return
        yield ipaddress.IPv4Network((address, first.prefixlen))
        address += first.num_addresses

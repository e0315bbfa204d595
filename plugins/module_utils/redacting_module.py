# SPDX-License-Identifier: Apache-2.0
"""A module some of whose options hold secrets within them: in a dictionary, or in an address."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule

HIDDEN = "(hidden)"
# What stands before the host in an address: user and password, or a token alone.
_USER = re.compile(r"(?<=://)[^/?#\s]+(?=@)")


class QuietModule(AnsibleModule):  # type: ignore[misc]
    """Hides them from the machine's log too, which is written before the module's own code runs.

    `no_log` would hide an option whole, and with it each of its values wherever a result has it.
    """

    params: dict[str, Any]

    def secrets(self) -> Iterable[str]:
        """What no result may hold; options may be of the wrong type still."""
        raise NotImplementedError

    def shown(self) -> dict[str, Any]:
        """The options as they may be seen."""
        raise NotImplementedError

    def _log_invocation(self) -> None:
        self._know()
        params = self.params
        self.params = self.shown()
        try:
            super()._log_invocation()
        finally:
            self.params = params

    def _know(self) -> None:
        # Shorter ones would black out whatever else is spelled like them.
        self.no_log_values |= {text for text in self.secrets() if len(text) > 3}

    def exit_json(self, **kwargs: Any) -> NoReturn:  # type: ignore[misc]  # Ansible's ends the process
        """Return a result."""
        kwargs.setdefault("invocation", {"module_args": self.shown()})
        super().exit_json(**kwargs)

    def fail_json(self, msg: str, **kwargs: Any) -> NoReturn:  # type: ignore[misc]  # Ansible's ends the process
        """Return a failure; Ansible itself calls this where it refuses the options."""
        self._know()
        kwargs.setdefault("invocation", {"module_args": self.shown()})
        super().fail_json(msg, **kwargs)


class AddressModule(QuietModule):
    """A module whose options hold addresses with user and password.

    Attributes:
        address_options: options that are an address, or a list of them.
    """

    address_options: tuple[str, ...] = ()

    def secrets(self) -> Iterable[str]:
        """User with password, and the password; what stands alone there is a token."""
        for option in self.address_options:
            for address in _listed(self.params.get(option)):
                for user in _USER.findall(_text(address)):
                    yield from (user, user.partition(":")[2])

    def shown(self) -> dict[str, Any]:
        """The options, their addresses without users."""
        found = dict(self.params)
        for option in self.address_options:
            value = found.get(option)
            if value is not None:
                hidden = [_without_user(one) for one in _listed(value)]
                found[option] = hidden if isinstance(value, list) else hidden[0]
        return found


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _text(address: Any) -> str:
    # An address, or an object that has one.
    return str(address.get("url", "")) if isinstance(address, Mapping) else str(address)


def _without_user(address: Any) -> Any:
    if isinstance(address, Mapping):
        return {**address, "url": _USER.sub(HIDDEN, _text(address))}
    return _USER.sub(HIDDEN, _text(address))

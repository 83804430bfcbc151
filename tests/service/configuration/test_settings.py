"""Settings: every row at its bounds, all mistakes at once, unknown names and retired names."""

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from service.configuration import machine
from service.configuration.limits import DEFAULTS
from service.configuration.settings import (
    PREFIX,
    RETIRED,
    SETTINGS,
    BadSettings,
    Setting,
    default_workers,
    read_settings,
    retired_settings,
)

MIB = 2**20


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Remove all settings of the service from the environment."""
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    return monkeypatch


def refusal(environment: pytest.MonkeyPatch, **values: str) -> str:
    """The message with which the service refuses to start."""
    for name, value in values.items():
        environment.setenv(PREFIX + name, value)
    with pytest.raises(BadSettings) as error:
        read_settings()
    return str(error.value)


def test_an_empty_environment_is_enough(environment: pytest.MonkeyPatch) -> None:
    """Every setting has a default. The default address is not reachable from other machines."""
    settings = read_settings()
    assert settings.bind == "127.0.0.1:8000"
    assert settings.limits == DEFAULTS
    assert settings.workers >= 1 <= settings.concurrency


# Numbers.


def _numbers(beginning: str) -> list[Setting]:
    return [row for row in SETTINGS if row.kind.expects.startswith(beginning)]


WHOLE, SECONDS = _numbers("a whole number"), _numbers("a number of seconds")
each_number = pytest.mark.parametrize("row", [*WHOLE, *SECONDS], ids=lambda row: row.name)

NO_NUMBERS = {
    "a word": "many",
    "nothing": "",
    "an exponent": "1e6",
    "a unit": "32M",
    "negative": "-1",
    "a sign": "+5",
    "hexadecimal": "0x10",
    "a digit of another script": "٣",
    "an underscore": "1_0",
    "a space before": " 7",
    "a line break behind": "7\n",
    "infinity": "inf",
    "no number": "nan",
    "an exponent of seconds": "1e9",
    "two points": "1.2.3",
    "eleven nines": "99999999999",
    "6000 digits": "9" * 6000,
}


def test_every_row_that_has_a_number_as_default_has_bounds() -> None:
    """So no new row can accept any number."""
    numbers = {row.name for row in SETTINGS if type(row.default) in (int, float)}
    assert numbers == {row.name for row in [*WHOLE, *SECONDS]}
    assert len(WHOLE) >= 6 <= len(SECONDS)


@pytest.mark.parametrize("name", ["WORKERS", "WORK_SECONDS"])
@pytest.mark.parametrize("value", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_a_number_not_in_plain_digits_is_refused(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Python's int and float accept some of these. The sentence names the variable and its bounds."""
    bounds = {"WORKERS": "a whole number from 1 to 128", "WORK_SECONDS": "a number of seconds from 0.01 to 86400"}
    assert refusal(environment, **{name: value}) == f"{PREFIX}{name}: must be {bounds[name]}"


def test_a_count_is_no_fraction(environment: pytest.MonkeyPatch) -> None:
    """Seconds may have a decimal point, a number of processes must not."""
    assert refusal(environment, WORKERS="1.5") == "CHAINRULE_WORKERS: must be a whole number from 1 to 128"
    environment.delenv("CHAINRULE_WORKERS")
    environment.setenv("CHAINRULE_WORK_SECONDS", "1.5")
    assert read_settings().work_seconds == 1.5


def _bounds(row: Setting) -> tuple[str, str]:
    least, _, most = row.kind.expects.partition(" from ")[2].partition(" (")[0].partition(" to ")
    return least, most


@each_number
def test_a_number_may_be_at_its_bounds(environment: pytest.MonkeyPatch, row: Setting) -> None:
    """Both numbers of the sentence are accepted, and read unchanged."""
    for bound in _bounds(row):
        environment.setenv(PREFIX + row.name, bound)
        assert read_settings().value(row) == float(bound)


@each_number
def test_a_number_beyond_its_bounds_is_refused(environment: pytest.MonkeyPatch, row: Setting) -> None:
    """One above, one below: the sentence has both bounds."""
    least, most = _bounds(row)
    above, below = f"{int(most) + 1}", f"{int(least) - 1}" if least.isdecimal() else "0.009"
    for value in (above, below):
        assert refusal(environment, **{row.name: value}) == f"{PREFIX}{row.name}: must be {row.kind.expects}"


@each_number
def test_a_default_is_within_its_bounds(row: Setting) -> None:
    """So the output of `chainrule config` can be used as settings."""
    assert row.kind.read(str(row.default)) == row.default


def test_bytes_end_at_the_memory_and_connections_at_the_open_files() -> None:
    """With a larger budget the kernel would kill the service, and more connections would be refused."""
    most = {row.name: row.kind.most for row in WHOLE}
    of_memory = {name for name in most if name.endswith("_BYTES")}
    assert {"MEMORY_BYTES", "MAX_BODY_BYTES"} <= of_memory
    assert {most[name] for name in of_memory} == {machine.memory()}
    assert most["CONNECTIONS"] == machine.open_files() - 100
    [budget] = [row for row in WHOLE if row.name == "MEMORY_BYTES"]
    assert budget.default == int(0.6 * machine.memory())


@pytest.mark.parametrize(
    ("cores", "memory", "workers"),
    [
        (2, 2048 * MIB, 2),
        (64, 512 * MIB, 4),  # 40 % of it are 205 MiB: 52 for the master, 38 for each worker
        (64, 256 * MIB, 1),
        (4, 128 * MIB, 1),  # never none
        (1, 2**40, 1),
        (1000, 2**40, 128),
    ],
)
def test_there_are_no_more_workers_than_cores_and_than_memory_holds(cores: int, memory: int, workers: int) -> None:
    """A container may have all cores of a large machine, but little memory."""
    assert default_workers(cores, memory) == workers


# Other kinds.

ADDRESSES = {
    "no port": "127.0.0.1",
    "an empty port": "127.0.0.1:",
    "no address": ":8000",
    "nothing": "",
    "a word for a port": "127.0.0.1:http",
    "a port beyond 65535": "127.0.0.1:65536",
    "a port of five nines": "127.0.0.1:99999",
    "a port in another script": "127.0.0.1:٣٣",
    "a space": "127.0.0.1 :8000",
    "a line break": "127.0.0.1:8000\n",
    "five numbers": "1.2.3.4.5:8000",
    "a number beyond 255": "127.0.0.256:8000",
    "IPv6 without brackets": "::1:8000",
    "half a bracket": "[::1:8000",
    "brackets around a name": "[localhost]:8000",
    "a URL": "http://127.0.0.1:8000",
    "a path": "unix:service.sock",
}


@pytest.mark.parametrize("value", ADDRESSES.values(), ids=ADDRESSES)
def test_an_invalid_address_is_refused_with_an_example(environment: pytest.MonkeyPatch, value: str) -> None:
    """Before gunicorn refuses it with its own message."""
    words = refusal(environment, BIND=value)
    assert words == "CHAINRULE_BIND: must be an address and a port, such as 127.0.0.1:8000"


@pytest.mark.parametrize("value", ["0.0.0.0:8000", "localhost:1", "[::1]:8000", "chainrule.internal:65535"])
def test_an_address_may_be_a_name_or_ipv6(environment: pytest.MonkeyPatch, value: str) -> None:
    """IPv6 addresses are in brackets."""
    environment.setenv("CHAINRULE_BIND", value)
    assert read_settings().bind == value


@pytest.mark.parametrize(("value", "on"), [("on", True), ("OFF", False), ("true", True), ("no", False), ("0", False)])
def test_a_switch_has_its_usual_words(environment: pytest.MonkeyPatch, value: str, on: bool) -> None:
    """Case does not matter. Other words are refused."""
    environment.setenv("CHAINRULE_EXPLORER", value)
    assert read_settings().explorer is on
    assert refusal(environment, EXPLORER="perhaps") == "CHAINRULE_EXPLORER: must be on or off"


def test_a_list_of_origins_may_have_spaces_or_be_empty(environment: pytest.MonkeyPatch) -> None:
    """Compose sets a variable to an empty text if it has no value."""
    environment.setenv("CHAINRULE_CORS_ORIGINS", "https://a.example, http://b.example:8080")
    assert read_settings().cors_origins == ("https://a.example", "http://b.example:8080")
    environment.setenv("CHAINRULE_CORS_ORIGINS", "")
    assert read_settings().cors_origins == ()


@pytest.mark.parametrize("value", ["/nowhere", "/", "x" * 5000], ids=["none", "a folder", "a long name"])
def test_a_file_that_cannot_be_read_is_refused(environment: pytest.MonkeyPatch, value: str) -> None:
    """For any reason of the system."""
    words = refusal(environment, API_KEYS_FILE=value)
    assert words == "CHAINRULE_API_KEYS_FILE: must be the path of a file that can be read"


def test_a_setting_and_a_limit_of_the_same_name_are_distinguished() -> None:
    """CHAINRULE_WORK_SECONDS bounds the time of a request, CHAINRULE_MAX_WORK_SECONDS its predicted work."""
    settings = replace(read_settings(), work_seconds=60, limits={**DEFAULTS, "work_seconds": 10})
    [row] = [row for row in SETTINGS if row.name == "WORK_SECONDS"]
    assert settings.value(row) == 60


# Names.


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("WORKER", "WORKERS"),
        ("MAX_JSON_DEPTHS", "MAX_JSON_DEPTH"),
        ("MAX_BODYBYTES", "MAX_BODY_BYTES"),
        ("max_body_bytes", "MAX_BODY_BYTES"),
    ],
)
def test_a_misspelt_setting_is_refused_with_the_one_that_was_meant(
    environment: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    """If it were ignored, a limit would not be in force."""
    assert refusal(environment, **{name: "3"}) == f'{PREFIX}{name} is not a setting; did you mean "{PREFIX}{meant}"?'


def test_an_unknown_setting_is_refused_with_a_list_of_all(environment: pytest.MonkeyPatch) -> None:
    """No name is similar enough to suggest it alone."""
    words = refusal(environment, ZZZ="3")
    assert words.startswith("CHAINRULE_ZZZ is not a setting; known here: CHAINRULE_BIND, CHAINRULE_ADMIN_BIND")
    assert all(PREFIX + setting.name in words for setting in SETTINGS)


def test_all_mistakes_in_the_settings_are_reported_at_once(environment: pytest.MonkeyPatch) -> None:
    """Two names and three values are wrong: five lines."""
    words = refusal(environment, FOO="1", BAR="2", BIND="x", WORKERS="0", MAX_JSON_DEPTH="-3")
    assert sorted(line.split()[0].rstrip(":") for line in words.splitlines()) == [
        "CHAINRULE_BAR",
        "CHAINRULE_BIND",
        "CHAINRULE_FOO",
        "CHAINRULE_MAX_JSON_DEPTH",
        "CHAINRULE_WORKERS",
    ]


@pytest.mark.parametrize("name", RETIRED)
def test_a_service_starts_with_a_retired_setting(environment: pytest.MonkeyPatch, name: str) -> None:
    """With any value."""
    environment.setenv(PREFIX + name, "12")
    assert read_settings().bind == "127.0.0.1:8000"


@pytest.mark.parametrize("name", [name for name in RETIRED if name not in {row.name for row in SETTINGS}])
def test_a_retired_setting_is_reported_with_its_replacement(environment: pytest.MonkeyPatch, name: str) -> None:
    """One sentence for the log, with its name and the name of a setting that exists."""
    environment.setenv(PREFIX + name, "any")
    [sentence] = retired_settings()
    assert sentence.startswith(f"{PREFIX}{name} has no effect any more")
    assert RETIRED[name] in sentence


def test_settings_in_force_cause_no_warning(environment: pytest.MonkeyPatch) -> None:
    """There is no warning without a retired setting."""
    environment.setenv("CHAINRULE_WORKERS", "1")
    assert list(retired_settings()) == []


def test_no_setting_is_retired_and_in_force() -> None:
    """The settings that replace retired ones exist."""
    names = {row.name for row in SETTINGS}
    assert names & RETIRED.keys() == set()
    assert {word for text in RETIRED.values() for word in text.split() if word.startswith(PREFIX)} <= {
        PREFIX + name for name in names
    }


def test_the_variables_that_kubernetes_injects_are_ignored(environment: pytest.MonkeyPatch) -> None:
    """A Service named "chainrule" adds these to every pod of its namespace."""
    for name, value in {
        "SERVICE_HOST": "10.0.0.1",
        "SERVICE_PORT": "80",
        "SERVICE_PORT_HTTP": "80",
        "PORT": "tcp://10.0.0.1:80",
        "PORT_80_TCP": "tcp://10.0.0.1:80",
        "PORT_80_TCP_PROTO": "tcp",
        "PORT_80_TCP_PORT": "80",
        "PORT_80_TCP_ADDR": "10.0.0.1",
    }.items():
        environment.setenv(PREFIX + name, value)
    assert read_settings().limits == DEFAULTS


def test_no_setting_has_a_name_that_kubernetes_would_overwrite() -> None:
    """`<SERVICE>_PORT...` and `<SERVICE>_SERVICE_...` are reserved."""
    assert not [setting.name for setting in SETTINGS if setting.name.startswith(("PORT", "SERVICE"))]


def test_a_name_without_our_prefix_is_ignored(environment: pytest.MonkeyPatch) -> None:
    """`CHAINRULES` and `MY_CHAINRULE_BIND` belong to other programs."""
    environment.setenv("CHAINRULES", "x")
    environment.setenv("MY_CHAINRULE_BIND", "x")
    assert read_settings().bind == "127.0.0.1:8000"

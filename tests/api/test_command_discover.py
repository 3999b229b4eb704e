"""``historian discover`` against a real server: what would become which tag."""

import asyncio
import threading

import pytest
from asyncua import ua
from typer.testing import CliRunner

from api.__main__ import app
from api.encoding import decode
from connectors.opcua.testing import URI, Plant
from historian.testing import free_port


@pytest.fixture
def press():
    """A server in a thread of its own; gives its port."""
    port, ready, loop = free_port(), threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve():
        plant = Plant(port)
        await plant.start(
            speed=(1.5, ua.VariantType.Double),
            count=(3, ua.VariantType.Int32),
            label=("x", ua.VariantType.String),
        )
        ready.set()
        await stop.wait()
        await plant.stop()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(30)
    yield port
    loop.call_soon_threadsafe(stop.set)
    thread.join(30)
    loop.close()


def configured(folder, port):
    """A configuration whose rules name two of three nodes."""
    config = folder / "historian.toml"
    config.write_text(
        '[[sources]]\nname = "press"\nkind = "opcua"\n[sources.settings]\n'
        f'url = "opc.tcp://127.0.0.1:{port}"\nsecurity = "none"\n'
        '[[sources.settings.browse]]\nroot = "/Line"\nexclude = ["label"]\n'
        f'[[tags]]\nname = "line/c"\ntype = "int64"\nsource = "press"\n'
        f'address = "nsu={URI};s=count"\n'
        f"[[tag_rules]]\nsource = 'press'\naddress = 'nsu={URI};s=(speed)'\n"
        "name = 'line/{1}'\n"
    )
    return config


def test_nodes_are_shown_with_the_tag_they_would_become_and_the_rule_that_leaves_them_out(
    press, tmp_path
):
    config = configured(tmp_path, press)
    command = ["discover", "press", "--config", str(config)]

    told = CliRunner().invoke(app, [*command, "--json"])
    table = CliRunner().invoke(app, command)
    rest = CliRunner().invoke(app, [*command, "--left-out"])

    assert 0 == told.exit_code == table.exit_code == rest.exit_code, told.output
    nodes = decode(told.stdout.encode())["nodes"]
    assert [
        ("speed", "line/speed", "float64", ""),
        ("count", "line/c", "int64", ""),
        ("label", "", "", "exclude: label"),
    ] == [(node["path"], node["tag"], node["type"], node["left_out"]) for node in nodes]
    assert "line/speed" in table.stdout
    assert "label" not in table.stdout
    assert "2 nodes taken, 0 of them without a tag; 1 left out" in table.stderr
    assert "exclude: label" in rest.stdout
    assert not (tmp_path / "data").exists()


def test_an_unknown_source_is_refused_with_those_that_are_known(tmp_path):
    done = CliRunner().invoke(app, ["discover", "x", "--config", str(configured(tmp_path, 1))])

    assert 1 == done.exit_code
    assert "press" in done.stderr

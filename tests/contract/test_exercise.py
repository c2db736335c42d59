"""The exercise of docs/architecture.md: a made-up endpoint passes what the real ones pass."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support.calling import CREATOR, arguments, call
from support.comparing import Comparison
from support.judge import CONTRACT, Declared, Judge
from support.samples import Samples

from fanvue_async import operations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fanvue_async import FanvueClient
    from fanvue_async.testing import FakeFanvue

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"


def block(language: str, text: str) -> str:
    """Find the code block of the page that has a text in it."""
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (found,) = (one for one in blocks if text in one)
    return found


@pytest.fixture
def noun(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Make the page's code a module, as if it were a file of the nouns."""
    module = ModuleType("fanvue_async.resources.moods")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where types are looked up
    exec(block("python", "class Mood:"), vars(module))  # noqa: S102 - it is our own page
    return module


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """Add the page's lines to the contract, for both forms."""
    document: Any = yaml.safe_load(CONTRACT.read_text())
    ((path, item),) = yaml.safe_load(block("yaml", "getMood")).items()
    creator: Any = yaml.safe_load(yaml.safe_dump(item))
    creator["parameters"].append({"$ref": "#/components/parameters/CreatorUserUuid"})
    creator["get"]["operationId"] = "getCreatorMood"
    creator["get"]["security"] = [{"accessToken": ["read:fan", "read:creator"]}]
    document["paths"] |= {path: item, "/creators/{creatorUserUuid}" + path: creator}
    contract = tmp_path / "openapi.yaml"
    contract.write_text(yaml.safe_dump(document))
    return Judge(contract)


def rows(noun: ModuleType) -> Iterator[operations.Row]:
    """List the operations of a noun as the public table does."""
    return operations._rows(noun)


async def test_a_made_up_endpoint_passes_the_table(
    noun: ModuleType, judge: Judge, client: FanvueClient, fake: FakeFanvue
) -> None:
    """Constant, coroutine, model and contract of the page fit each other, in both forms."""
    found = {row.coroutine: row for row in rows(noun)}
    assert list(found) == ["moods.get", "creator.moods.get"]
    for name, session in (
        ("moods.get", client._session),
        ("creator.moods.get", client.creator(CREATOR)._session),
    ):
        row = found[name]
        of: Declared = judge.operations[row.id]
        assert (row.method, row.path, set(row.scopes)) == (of.method, of.path, set(of.scopes))
        for sparse in (False, True):
            document = Samples(sparse=sparse).document(of.success[2])
            fake.reply(200, json=document)
            method = noun.MoodsResource(session).get
            given, _ = arguments(method, row, of)
            comparison = Comparison()
            comparison.compare(of.success[2], document, await call(method, given))

            assert comparison.differences == []
            judge.check_request(fake.requests[-1])

"""Tools beyond the two: for agents that declare them, and unseen by all others."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_lvr1 import prompts
from edge_lvr1.domain import CountObjects, Invalid, ListRecordings, NodeId, SearchCaptions
from edge_lvr1.models.base import MORE_TOOLS, TWO_TOOLS, tools_of
from edge_lvr1.navigator.loop import Rules, navigate
from tests.navigator.test_hints import Only
from tests.navigator.test_loop import another, call, say
from tests.navigator.written_trees import Clock, ScriptedAgent, ask, people, question

ASKED = question("What do the people carry?")


@dataclass
class Knowing(ScriptedAgent):
    """A scripted agent that knows all tools."""

    tools: frozenset[str] = MORE_TOOLS


def tool(text: str) -> str:
    return f"<think>look it up</think><tool>{text}</tool>"


CALLS = [
    tool('search_captions("red car")'),
    tool('search_captions("red car")'),
    tool("list_recordings()"),
    tool('list_recordings("camera2")'),
    call("(1,2,1)"),
    tool('count_objects((1,2,1), "person")'),
    say("six (1,2,1)"),
]


def test_an_agent_that_declares_them_uses_them() -> None:
    tree = people(look="2")
    agent = Knowing().enqueue(*CALLS)
    steps = []
    rules = Rules(
        finder=lambda recording: Only([NodeId((3, 2, 1)), NodeId((9, 9, 9))]), hints=False
    )

    asked = replace(ASKED, max_rounds=30)

    navigate(asked, [tree, another(2)], agent, Clock(), steps.append, rules=rules)

    told = [step.observation for step in steps]
    assert told[0] == (
        '<information>Captions that mention "red car", best first: (3,2,1) from 78.4 to 80.6.'
        "</information>"
    )
    assert [step.repeated for step in steps[:2]] == [False, True]
    assert '1 (this video): "camera1", 2026-11-22 10:00:00+01:00, 139 s; 2: "camera2"' in told[2]
    assert "camera1" not in told[3]
    assert tree.looks == [(NodeId((1, 2, 1)), prompts.count_query("person"))]
    assert [type(step.action) for step in steps][:3] == [
        SearchCaptions,
        SearchCaptions,
        ListRecordings,
    ]
    assert isinstance(steps[5].action, CountObjects)
    assert all(name in agent.asked[0][0][0].content for name in MORE_TOOLS)
    assert agent.asked[0][1].tools == TWO_TOOLS | MORE_TOOLS


def test_a_two_tool_agent_never_sees_them_and_cannot_call_them() -> None:
    agent = ScriptedAgent().enqueue(CALLS[0], CALLS[2], CALLS[5], say("six"))

    answer, steps = ask(agent, ASKED, people())

    assert all(isinstance(step.action, Invalid) for step in steps[:3])
    assert answer.invalid_steps == 3
    assert agent.asked[0][0][0].content == prompts.system_turn(4)
    assert not any(
        name in message.content
        for name in MORE_TOOLS
        for messages, _ in agent.asked
        for message in messages
        if message.role != "assistant"
    )


def test_a_count_is_for_opened_leaves_only() -> None:
    agent = Knowing().enqueue(CALLS[5], tool('count_objects((1,2), "person")'), say("six"))

    _, steps = ask(agent, ASKED, people())

    assert all(isinstance(step.action, Invalid) for step in steps[:2])


def test_tools_that_there_are_not_are_left_out() -> None:
    assert tools_of(ScriptedAgent()) == TWO_TOOLS
    assert tools_of(Knowing(tools=frozenset({"delete_all", "search_captions"}))) == TWO_TOOLS | {
        "search_captions"
    }


def test_what_was_learnt_is_carried_only_where_it_is_wanted() -> None:
    def second_turn(*, carry: bool) -> str:
        agent = ScriptedAgent().enqueue(say("not found: <b> none"), say("six"))
        rules = Rules(carry=carry)
        views = [another(1), another(2)]
        navigate(ASKED, views, agent, Clock(), lambda step: None, rules=rules)
        return agent.asked[1][0][1].content

    assert "Known from other recordings" not in second_turn(carry=False)
    assert second_turn(carry=True).endswith(
        "Known from other recordings: camera1, 2026-11-22 10:00+01:00: not found: \u2039b> none"
    )

"""What a chat does with what was measured of its models: each is asked as its own verdict says."""

from __future__ import annotations

from pathlib import Path

from runtime.chat.session import Chat, ChatOptions
from runtime.engine import Engine
from runtime.engine.scripted import ReplayEngine
from runtime.lce import Block
from runtime.settings import SolverSettings


def test_another_model_is_not_asked_as_the_last_one_was_measured() -> None:
    engines = {name: ReplayEngine(lambda _: [Block("text", "4")]) for name in ("hurt", "fine")}

    def follow(engine: Engine, settings: SolverSettings) -> SolverSettings:
        return settings.model_copy(update={"mode": "chain-of-thought"}) if engine is engines["hurt"] else settings

    chat = Chat(ChatOptions(model=Path("hurt"), load=lambda path: engines[path.name], follow=follow))
    conversation = chat.conversation
    try:
        assert conversation.settings.mode == conversation.solver.settings.mode == "chain-of-thought"
        conversation.use_settings(conversation.settings.model_copy(update={"temperature": 0.5}))
        chat.switch_model("fine")
        assert conversation.settings.mode == conversation.solver.settings.mode == "full"
        assert conversation.settings.temperature == 0.5, "what the person set stays"
        chat.switch_model("hurt")
        assert conversation.solver.settings.mode == "chain-of-thought"
    finally:
        conversation.close()

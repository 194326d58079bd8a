"""Speaks to /v1 with LlamaIndex (OpenAILike). Usage: compat-llamaindex.py BASE_URL KEY MODEL CALLER

MODEL answers; CALLER calls a tool, whole and then streamed, says "There is sun" to what the tool found,
breaks a poem off behind "one", and tells a story without an end.
"""

import sys
from typing import Literal

from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from openai import APIError, NotFoundError
from pydantic import BaseModel

base_url, key, model, caller = sys.argv[1:]


def chat(name, **more):
    return OpenAILike(
        api_base=base_url,
        api_key=key,
        model=name,
        temperature=0,
        max_retries=0,
        is_chat_model=True,
        is_function_calling_model=True,
        should_use_structured_outputs=True,
        **more,
    )


messages = [ChatMessage(role="user", content="Echo: blue river k7x2")]
whole = chat(model).chat(messages)
assert whole.message.content == "blue river k7x2", whole
pieces = [piece.delta for piece in chat(model).stream_chat(messages)]
assert "".join(pieces) == "blue river k7x2", pieces
completion = OpenAILike(api_base=base_url, api_key=key, model=model, max_tokens=8, max_retries=0)
assert completion.complete("Once upon a time").text, "a completion without text"


def weather(city: str) -> str:
    """Tells the weather in a city."""
    return f"sun in {city}"


tools = [FunctionTool.from_defaults(weather)]
question = "What is the weather in Paris?"
able = chat(caller)
[call] = able.get_tool_calls_from_response(able.chat_with_tools(tools, user_msg=question))
assert (call.tool_name, call.tool_kwargs) == ("weather", {"city": "Paris"}), call
*_, last = able.stream_chat_with_tools(tools, user_msg=question)
[call] = able.get_tool_calls_from_response(last)
assert (call.tool_name, call.tool_kwargs) == ("weather", {"city": "Paris"}), call
found = ChatMessage(role="tool", content="sun in Paris", additional_kwargs={"tool_call_id": call.tool_id})
told = [ChatMessage(role="user", content=question), last.message, found]
assert able.chat_with_tools(tools, chat_history=told).message.content == "There is sun"
*_, last = able.stream_chat_with_tools(tools, chat_history=told)
assert last.message.content == "There is sun", last


class Paint(BaseModel):
    colour: Literal["ultramarine", "vermilion"]


prompt = PromptTemplate("What colour is {thing}?")
paint = chat(model).structured_predict(Paint, prompt, thing="the sky")
assert isinstance(paint, Paint), paint
*_, paint = chat(model).stream_structured_predict(Paint, prompt, thing="the sky")
assert paint.colour in ("ultramarine", "vermilion"), paint

nobody = chat("nobody-has-this")
for ask in nobody.chat, lambda messages: list(nobody.stream_chat(messages)):
    try:
        ask(messages)
        raise SystemExit("an unknown model was answered")
    except NotFoundError as error:
        assert error.code == "model_not_found", error.code

# Who may answer, in OpenRouter's words.
try:
    chat(model, additional_kwargs={"extra_body": {"provider": {"only": ["plg_00000000000000000000000000"]}}}).chat(messages)
    raise SystemExit("a provider that is not there answered")
except APIError as error:
    assert error.code == "provider_unavailable", error.code

heard = ""
try:
    for piece in chat(caller).stream_chat([ChatMessage(role="user", content="Begin a poem")]):
        heard += piece.delta
    raise SystemExit("an answer that broke off ended well")
except APIError as error:
    assert heard == "one" and error.code == "provider_failed", (heard, error)

stream = chat(caller).stream_chat([ChatMessage(role="user", content="Tell a long story")])
while not next(stream).delta:
    pass
stream.close()
print("stopped", flush=True)
sys.stdin.readline()
print("ok")

"""Speaks to /v1 with LangChain (langchain-openai). Usage: compat-langchain.py BASE_URL KEY MODEL CALLER

MODEL answers; CALLER calls a tool, whole and then streamed, says "There is sun" to what the tool found,
breaks a poem off behind "one", and tells a story without an end.
"""

import sys
from typing import Literal

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import APIError, NotFoundError
from pydantic import BaseModel

base_url, key, model, caller = sys.argv[1:]


def chat(name, **more):
    return ChatOpenAI(base_url=base_url, api_key=key, model=name, temperature=0, max_retries=0, **more)


whole = chat(model).invoke("Echo: blue river k7x2")
assert whole.content == "blue river k7x2", whole
assert whole.usage_metadata["output_tokens"] > 0, whole
pieces = list(chat(model).stream("Echo: blue river k7x2", stream_usage=True))
assert "".join(piece.content for piece in pieces) == "blue river k7x2", pieces
assert sum(piece.usage_metadata["output_tokens"] for piece in pieces if piece.usage_metadata) > 0, pieces


@tool
def weather(city: str) -> str:
    """Tells the weather in a city."""
    return f"sun in {city}"


able = chat(caller).bind_tools([weather])
[call] = able.invoke("What is the weather in Paris?").tool_calls
assert (call["name"], call["args"]) == ("weather", {"city": "Paris"}), call
grown = None
for piece in able.stream("What is the weather in Paris?"):
    grown = piece if grown is None else grown + piece
[call] = grown.tool_calls
assert (call["name"], call["args"]) == ("weather", {"city": "Paris"}), call
found = [HumanMessage("What is the weather in Paris?"), grown, ToolMessage("sun in Paris", tool_call_id=call["id"])]
assert able.invoke(found).content == "There is sun"
assert "".join(piece.content for piece in able.stream(found)) == "There is sun"


class Paint(BaseModel):
    colour: Literal["ultramarine", "vermilion"]


painter = chat(model).with_structured_output(Paint, method="json_schema")
paint = painter.invoke("What colour is the sky?")
assert isinstance(paint, Paint), paint
*_, paint = painter.stream("What colour is the sky?")
assert isinstance(paint, Paint), paint

for ask in chat("nobody-has-this").invoke, lambda text: list(chat("nobody-has-this").stream(text)):
    try:
        ask("Hello")
        raise SystemExit("an unknown model was answered")
    except NotFoundError as error:
        assert error.code == "model_not_found", error.code

# Who may answer, in OpenRouter's words.
assert chat(model, extra_body={"provider": {"ignore": ["plg_00000000000000000000000000"]}}).invoke("Hello").content
try:
    chat(model, extra_body={"provider": {"only": ["plg_00000000000000000000000000"]}}).invoke("Hello")
    raise SystemExit("a provider that is not there answered")
except APIError as error:
    assert error.code == "provider_unavailable", error.code

heard = ""
try:
    for piece in chat(caller).stream("Begin a poem"):
        heard += piece.content
    raise SystemExit("an answer that broke off ended well")
except APIError as error:
    assert heard == "one" and error.code == "provider_failed", (heard, error)

stream = chat(caller).stream("Tell a long story")
while not next(stream).content:
    pass
stream.close()
print("stopped", flush=True)
sys.stdin.readline()
print("ok")

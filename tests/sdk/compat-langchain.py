"""Speaks to /v1 with LangChain (langchain-openai). Usage: compat-langchain.py BASE_URL KEY MODEL CALLER

MODEL answers; CALLER calls a tool, whole and then streamed, and tells a story without an end.
"""

import sys
from typing import Literal

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import NotFoundError
from pydantic import BaseModel

base_url, key, model, caller = sys.argv[1:]


def chat(name):
    return ChatOpenAI(base_url=base_url, api_key=key, model=name, temperature=0, max_retries=0)


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


class Paint(BaseModel):
    colour: Literal["ultramarine", "vermilion"]


paint = chat(model).with_structured_output(Paint, method="json_schema").invoke("What colour is the sky?")
assert isinstance(paint, Paint), paint

try:
    chat("nobody-has-this").invoke("Hello")
    raise SystemExit("an unknown model was answered")
except NotFoundError as error:
    assert error.code == "model_not_found", error.code

stream = chat(caller).stream("Tell a long story")
while not next(stream).content:
    pass
stream.close()
print("stopped", flush=True)
sys.stdin.readline()
print("ok")

"""Speaks to /v1 with the official OpenAI SDK. Usage: sdk.py BASE_URL KEY MODEL CALLER

MODEL answers; CALLER calls a tool: whole, then streamed, and the same again for responses; it says
"There is sun" to what the tool found, breaks a poem off behind "one", and tells a story without an end.
"""

import asyncio
import sys
from typing import Literal

from openai import APIError, AsyncOpenAI, AuthenticationError, BadRequestError, NotFoundError, OpenAI
from pydantic import BaseModel

base_url, key, model, caller = sys.argv[1:]
client = OpenAI(base_url=base_url, api_key=key, max_retries=0)

assert model in [listed.id for listed in client.models.list()]

messages = [{"role": "user", "content": "Echo: blue river k7x2"}]
whole = client.chat.completions.create(model=model, messages=messages, temperature=0)
assert whole.choices[0].message.content == "blue river k7x2", whole
assert whole.choices[0].finish_reason == "stop", whole
assert whole.usage.completion_tokens > 0, whole
assert whole._request_id == whole.rekursing["jobId"], whole

stream = client.chat.completions.create(
    model=model, messages=messages, temperature=0, stream=True, stream_options={"include_usage": True}
)
chunks = list(stream)
text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
assert text == "blue river k7x2", text
assert chunks[-1].usage.completion_tokens > 0, chunks[-1]
assert any(chunk.choices and chunk.choices[0].finish_reason == "stop" for chunk in chunks)

completion = client.completions.create(model=model, prompt="Once upon a time", max_tokens=8)
assert completion.choices[0].text, completion

weather = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
asked = {
    "model": caller,
    "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
    "tools": [{"type": "function", "function": {"name": "weather", "parameters": weather}}],
}
choice = client.chat.completions.create(**asked).choices[0]
assert choice.finish_reason == "tool_calls", choice
assert choice.message.tool_calls[0].function.name == "weather", choice
assert choice.message.tool_calls[0].function.arguments == '{"city": "Paris"}', choice
with client.chat.completions.stream(**asked) as stream:
    choice = stream.get_final_completion().choices[0]
assert choice.finish_reason == "tool_calls", choice
assert choice.message.tool_calls[0].function.arguments == '{"city": "Paris"}', choice
found = {"role": "tool", "tool_call_id": choice.message.tool_calls[0].id, "content": "sun in Paris"}
asked["messages"] += [choice.message.model_dump(include={"role", "content", "tool_calls"}), found]
assert client.chat.completions.create(**asked).choices[0].message.content == "There is sun"
with client.chat.completions.stream(**asked) as stream:
    assert stream.get_final_completion().choices[0].message.content == "There is sun"

question = {"model": model, "input": "Echo: blue river k7x2", "temperature": 0}
response = client.responses.create(**question)
assert response.output_text == "blue river k7x2", response
assert response.status == "completed" and response.usage.output_tokens > 0, response
with client.responses.stream(**question) as stream:
    pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
    response = stream.get_final_response()
assert "".join(pieces) == response.output_text == "blue river k7x2", (pieces, response)
short = client.responses.create(model=model, input="Once upon a time", max_output_tokens=1)
assert short.status == "incomplete" and short.incomplete_details.reason == "max_output_tokens", short
assert short.output[-1].status == "incomplete", short

asked = {
    "model": caller,
    "input": [{"role": "user", "content": [{"type": "input_text", "text": "What is the weather in Paris?"}]}],
    "tools": [{"type": "function", "name": "weather", "parameters": weather, "strict": False}],
}
call = client.responses.create(**asked).output[0]
assert (call.type, call.name, call.arguments) == ("function_call", "weather", '{"city": "Paris"}'), call
with client.responses.stream(**asked) as stream:
    call = stream.get_final_response().output[0]
assert (call.call_id, call.name, call.arguments) == ("call_1", "weather", '{"city": "Paris"}'), call
told = {"type": "function_call_output", "call_id": call.call_id, "output": "sun in Paris"}
asked["input"] += [call.model_dump(include={"type", "call_id", "name", "arguments"}), told]
assert client.responses.create(**asked).output_text == "There is sun"
with client.responses.stream(**asked) as stream:
    assert stream.get_final_response().output_text == "There is sun"
try:
    client.responses.create(model=model, input="And then?", previous_response_id=response.id)
    raise SystemExit("a response that nobody keeps was gone on with")
except BadRequestError as error:
    assert error.param == "previous_response_id", error


class Paint(BaseModel):
    """What an answer is held to."""

    colour: Literal["ultramarine", "vermilion"]


sky = {"model": model, "messages": [{"role": "user", "content": "What colour is the sky?"}], "temperature": 0}
painted = client.chat.completions.parse(**sky, response_format=Paint).choices[0].message
assert isinstance(painted.parsed, Paint), painted
with client.chat.completions.stream(**sky, response_format=Paint) as stream:
    painted = stream.get_final_completion().choices[0].message
assert isinstance(painted.parsed, Paint), painted
painted = client.responses.parse(model=model, input="What colour is the sky?", text_format=Paint, temperature=0)
assert isinstance(painted.output_parsed, Paint), painted

for streams in False, True:
    try:
        client.chat.completions.create(model="nobody-has-this", messages=messages, stream=streams)
        raise SystemExit("an unknown model was answered")
    except NotFoundError as error:
        assert error.code == "model_not_found", error.code
    # Who may answer, in OpenRouter's words.
    nobody = {"provider": {"only": ["plg_00000000000000000000000000"]}}
    try:
        client.chat.completions.create(model=model, messages=messages, stream=streams, extra_body=nobody)
        raise SystemExit("a provider that is not there answered")
    except APIError as error:
        assert error.code == "provider_unavailable", error.code
whole = client.chat.completions.create(
    model=model, messages=messages, extra_body={"provider": {"ignore": ["plg_00000000000000000000000000"], "max_price": {"prompt": 100}}}
)
assert whole.choices[0].message.content, whole

try:
    OpenAI(base_url=base_url, api_key="rk_wrong", max_retries=0).chat.completions.create(
        model=model, messages=messages
    )
    raise SystemExit("a wrong key was answered")
except AuthenticationError as error:
    assert error.code == "invalid_api_key", error.code

heard = ""
try:
    poem = [{"role": "user", "content": "Begin a poem"}]
    for chunk in client.chat.completions.create(model=caller, messages=poem, stream=True):
        heard += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    raise SystemExit("an answer that broke off ended well")
except APIError as error:
    assert heard == "one" and error.code == "provider_failed", (heard, error.code)



async def give_up():
    """Asks for a whole answer and gives up on it."""
    silence = [{"role": "user", "content": "Say nothing"}]
    client = AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0)
    try:
        await asyncio.wait_for(client.chat.completions.create(model=caller, messages=silence), 1)
        raise SystemExit("silence ended")
    except TimeoutError:
        pass


asyncio.run(give_up())
story = client.chat.completions.create(
    model=caller, messages=[{"role": "user", "content": "Tell a long story"}], stream=True
)
assert any(chunk.choices and chunk.choices[0].delta.content for chunk in story)
story.close()
print("stopped", flush=True)
sys.stdin.readline()
print("ok")

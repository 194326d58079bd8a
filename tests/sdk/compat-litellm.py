"""Speaks to /v1 with LiteLLM as a client. Usage: compat-litellm.py BASE_URL KEY MODEL CALLER

MODEL answers; CALLER calls a tool, whole and then streamed, says "There is sun" to what the tool found,
breaks a poem off behind "one", and tells a story without an end.
"""

import asyncio
import json
import os
import sys

# Prices of models elsewhere are not fetched.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

# On an error it would write to standard output.
litellm.suppress_debug_info = True

base_url, key, model, caller = sys.argv[1:]


def asked(name, text, **more):
    messages = [{"role": "user", "content": text}]
    return {"model": f"openai/{name}", "messages": messages, "api_base": base_url, "api_key": key, **more}


def ask(name, text, **more):
    return litellm.completion(**asked(name, text, num_retries=0, max_retries=0, **more))


whole = ask(model, "Echo: blue river k7x2", temperature=0)
assert whole.choices[0].message.content == "blue river k7x2", whole
assert whole.usage.completion_tokens > 0, whole
usage = {"include_usage": True}
chunks = list(ask(model, "Echo: blue river k7x2", temperature=0, stream=True, stream_options=usage))
text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
assert text == "blue river k7x2", chunks
assert chunks[-1].usage.completion_tokens > 0, chunks[-1]

weather = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
tools = [{"type": "function", "function": {"name": "weather", "parameters": weather}}]
question = "What is the weather in Paris?"
choice = ask(caller, question, tools=tools).choices[0]
assert choice.finish_reason == "tool_calls", choice
assert choice.message.tool_calls[0].function.arguments == '{"city": "Paris"}', choice
choice = litellm.stream_chunk_builder(list(ask(caller, question, tools=tools, stream=True))).choices[0]
assert choice.finish_reason == "tool_calls", choice
assert choice.message.tool_calls[0].function.name == "weather", choice
assert choice.message.tool_calls[0].function.arguments == '{"city": "Paris"}', choice
found = {"role": "tool", "tool_call_id": choice.message.tool_calls[0].id, "content": "sun in Paris"}
told = {**asked(caller, question, tools=tools), "num_retries": 0}
told["messages"] += [choice.message.model_dump(include={"role", "content", "tool_calls"}), found]
assert litellm.completion(**told).choices[0].message.content == "There is sun"
answer = litellm.stream_chunk_builder(list(litellm.completion(**told, stream=True)))
assert answer.choices[0].message.content == "There is sun", answer

colours = ["ultramarine", "vermilion"]
schema = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": colours}},
    "required": ["colour"],
    "additionalProperties": False,
}
structured = {"type": "json_schema", "json_schema": {"name": "paint", "strict": True, "schema": schema}}
paint = ask(model, "What colour is the sky?", response_format=structured, temperature=0)
assert json.loads(paint.choices[0].message.content)["colour"] in colours, paint
pieces = list(ask(model, "What colour is the sky?", response_format=structured, temperature=0, stream=True))
paint = litellm.stream_chunk_builder(pieces)
assert json.loads(paint.choices[0].message.content)["colour"] in colours, paint

for streams in False, True:
    try:
        ask("nobody-has-this", "Hello", stream=streams)
        raise SystemExit("an unknown model was answered")
    except litellm.NotFoundError as error:
        assert error.status_code == 404 and "no provider serves the model" in str(error), error

# Who may answer, in OpenRouter's words.
assert ask(model, "Hello", extra_body={"provider": {"ignore": ["plg_00000000000000000000000000"]}}).choices[0].message.content
try:
    ask(model, "Hello", extra_body={"provider": {"only": ["plg_00000000000000000000000000"]}})
    raise SystemExit("a provider that is not there answered")
except litellm.ServiceUnavailableError as error:
    assert error.status_code == 503, error

heard = ""
try:
    for chunk in ask(caller, "Begin a poem", stream=True):
        heard += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    raise SystemExit("an answer that broke off ended well")
except litellm.exceptions.MidStreamFallbackError as error:
    assert heard == "one" and "the answer broke off" in str(error), (heard, error)


async def stop():
    """Cancels the task that reads, as a server does whose own caller has left."""
    heard = asyncio.Event()

    async def read():
        stream = await litellm.acompletion(**asked(caller, "Tell a long story", stream=True))
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                heard.set()

    reading = asyncio.create_task(read())
    await heard.wait()
    reading.cancel()
    try:
        await reading
    except asyncio.CancelledError:
        print("stopped", flush=True)
    await asyncio.to_thread(sys.stdin.readline)


asyncio.run(stop())
print("ok")

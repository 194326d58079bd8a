"""Speaks to /mcp with the official SDK of the Model Context Protocol. Usage: compat-mcp.py BASE_URL KEY MODEL CALLER

MODEL answers; CALLER tells a story without an end.
"""

import sys

import anyio
from mcp import Client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

base_url, key, model, caller = sys.argv[1:]
url = base_url.removesuffix("/v1") + "/mcp"


def connect(key, mode):
    http = create_mcp_http_client(headers={"Authorization": f"Bearer {key}"})
    return Client(streamable_http_client(url, http_client=http), mode=mode)


async def tools(mode):
    async with connect(key, mode) as client:
        listed = [tool.name for tool in (await client.list_tools()).tools]
        assert "ask" in listed and "estimate_cost" in listed, listed
        question = {"prompt": "Echo: blue river k7x2", "model": model, "temperature": 0}
        estimate = (await client.call_tool("estimate_cost", question)).structured_content
        assert estimate["expectedCost"] <= estimate["mostCost"], estimate
        heard = []

        async def hear(progress, total, message):
            heard.append(message)

        answer = await client.call_tool("ask", question, progress_callback=hear)
        assert not answer.is_error and answer.content[0].text == "blue river k7x2", answer
        assert "".join(heard) == "blue river k7x2", heard
        assert answer.structured_content["usage"]["completionTokens"] > 0, answer
        chosen = await client.call_tool("ask", {"prompt": "Echo: k7x2", "quality": "auto", "model": model})
        assert chosen.structured_content["choice"]["reasons"], chosen
        refused = await client.call_tool("ask", {"prompt": "Hello", "model": "nobody-has-this"})
        assert refused.is_error and refused.structured_content["error"]["code"] == "model_not_found", refused
        assert (await client.call_tool("usage")).structured_content["balance"] > "0"
    async with connect("rk_wrong", mode) as client:
        refused = await client.call_tool("ask", question)
        assert refused.is_error and refused.structured_content["error"]["code"] == "invalid_api_key", refused


async def stop():
    async with connect(key, "legacy") as client:
        with anyio.CancelScope() as scope:

            async def enough(progress, total, message):
                scope.cancel()

            story = {"prompt": "Tell a long story", "model": caller}
            await client.call_tool("ask", story, progress_callback=enough)
        assert scope.cancelled_caught, "the story has an end"
        print("stopped", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.readline)


async def main():
    for mode in "auto", "legacy":
        await tools(mode)
    await stop()
    print("ok")


anyio.run(main)
